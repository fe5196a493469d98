"""The public layouts of RepNet's weights, by name and shape, and what is refused."""

import hashlib
import sys

import flax.traverse_util
import numpy as np
import pytest

from rac_jax.cli.main import main
from rac_jax.interop.attention import join_attention
from rac_jax.interop.tables import TableError
from rac_jax.interop.tensorflow_io import SUFFIX, plain_names
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.repnet import FAMILY, conversion

# Digests of "name shape" of every tensor, sorted: of the public files, and of the same with 64
# classes and a vector per position.
TORCH_LAYOUTS = {32: "0d43afd071e67936", 64: "0a0ef919d6afba3b"}
TENSORFLOW_LAYOUTS = {32: "786a56877f726970", 64: "21bd0a791eee60f0"}
# Layers of the encoder that the public checkpoint names by their place among all layers.
BY_PLACE = [
    *(
        2,
        5,
        7,
        8,
        47,
        61,
        63,
        65,
        66,
        69,
        70,
        74,
        92,
        93,
        95,
        96,
        98,
        100,
        101,
        104,
        105,
    ),
    *(107, 109, 111, 112, 115, 116, 118),
]
# Their places among the layers with weights.
PUBLIC_PLACES = [*range(4), 24, *range(32, 38), 39, *range(48, 64)]


def digest(shapes):
    lines = "".join(f"{name} {list(shape)}\n" for name, shape in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def zeros(network):
    """Arrays by path."""
    shapes = conversion.shapes_of(network)
    return {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}


@pytest.mark.parametrize("periods", [32, 64])
def test_the_port_s_layout(periods):
    network = FAMILY.network(**conversion.RELEASES[periods])
    table = conversion.torch_table(network)
    written = join_attention(table.to_torch(zeros(network)))
    assert len(written) == 249
    shapes = {name: value.shape for name, value in written.items()}
    assert digest(shapes) == TORCH_LAYOUTS[periods]


def tensorflow_arrays(network, seed=0):
    """Random arrays under TensorFlow's names, all layers of the encoder by their weights."""
    rng, layers = np.random.default_rng(seed), conversion.weighted_layers(network)

    def place(layer):
        return f"base_model/layer_with_weights-{layers.index(layer)}"

    return {
        conversion.tensorflow_name(path, place): rng.normal(size=shape)
        for path, shape in conversion.shapes_of(network).items()
    }


def by_place(arrays, network):
    """The same with some layers by their place among all, as the public file has them."""
    layers = len(conversion.weighted_layers(network))
    chosen = [k for k in range(layers) if k % 3 == 0]
    found = {}
    for name, value in arrays.items():
        for number in chosen:
            name = name.replace(
                f"layer_with_weights-{number}/", f"layer-{5 * number + 2}/"
            )
        found[name] = value
    return found


@pytest.fixture(scope="module")
def small():
    return FAMILY.network(
        periods=32, first_period=1, positions="number", width=0.0625, frames=8
    )


def test_tensorflow_s_layers_are_found_under_either_name(small):
    arrays = tensorflow_arrays(small)
    flat = conversion.from_tensorflow(small, arrays)
    assert flat.keys() == conversion.shapes_of(small).keys()
    name = "transformer_layers2/0/mha/wk/kernel"
    path = "params/periodicity_branch/transformer/attention/key/kernel"
    np.testing.assert_array_equal(flat[path], arrays[name].astype(np.float32))
    other = conversion.from_tensorflow(small, by_place(arrays, small))
    for path, value in flat.items():
        np.testing.assert_array_equal(other[path], value)


@pytest.mark.parametrize("periods", [32, 64])
def test_tensorflow_s_layout(periods):
    """The public names: 28 layers of the encoder by their place, the others by their weights."""
    network = FAMILY.network(**conversion.RELEASES[periods])
    layers = conversion.weighted_layers(network)
    # Those named by their place are the rest, in order.
    weighted = [k for k in range(len(layers)) if k not in PUBLIC_PLACES]
    names = {layers[k]: f"base_model/layer_with_weights-{k}" for k in weighted}
    rest = [layer for layer in layers if layer not in names]
    names |= {
        layer: f"base_model/layer-{number}"
        for layer, number in zip(rest, BY_PLACE, strict=True)
    }
    shapes = {
        conversion.tensorflow_name(path, names.__getitem__): shape
        for path, shape in conversion.shapes_of(network).items()
    }
    assert len(shapes) == 226
    assert digest(shapes) == TENSORFLOW_LAYOUTS[periods]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a.pop("fc_layers/2/kernel"),
            "lacks the tensor model/fc_layers/2/ke",
        ),
        (lambda a: a.update(extra=np.zeros(1)), "holds the tensor model/extra, which"),
        (
            lambda a: a.update({"pos_encoding": np.zeros((1, 9, 1))}),
            r"model/pos_encoding is \[1, 9, 1\], the model has \[1, 8, 1\]",
        ),
        (
            lambda a: [a.pop(k) for k in list(a) if "weights-3/" in k],
            "has 63 layers with weights in its encoder, the model has 64",
        ),
    ],
)
def test_what_does_not_fit_is_named(small, change, message):
    arrays = tensorflow_arrays(small)
    change(arrays)
    with pytest.raises(TableError, match=message):
        conversion.from_tensorflow(small, arrays)


def test_names_without_their_surroundings():
    arrays = {
        f"model/a/kernel{SUFFIX}": np.ones(1),
        f"model/a/kernel/.OPTIMIZER_SLOT/optimizer/m{SUFFIX}": np.ones(1),
        f"save_counter{SUFFIX}": np.ones(1),
        "_CHECKPOINTABLE_OBJECT_GRAPH": np.ones(1),
    }
    assert list(plain_names(arrays, "model/")) == ["a/kernel"]


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConversionError, match=r"pip install 'rac_jax\[tensorflow\]'"):
        conversion.read_tensorflow(tmp_path / "ckpt-88")


def test_the_command_refuses_other_files_in_one_line(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    path, out = tmp_path / "weights.pth", str(tmp_path / "out")
    torch.save({"a.weight": torch.zeros(2)}, path)
    command = ["convert", "repnet", "--weights", str(path), "--out", out]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "weights.pth: lacks the tensor period_length_head.5.weight" in said
    torch.save({"period_length_head.5.weight": torch.zeros(7, 2)}, path)
    assert main(command) == 1
    assert "has 7 classes of periods, the releases have 32 and 64" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_public_size_is_read_and_loads(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from rac_jax.counting import weights
    from rac_jax.models import loading

    network = FAMILY.network(**conversion.RELEASES[32])
    table = conversion.torch_table(network)
    state = join_attention(table.to_torch(zeros(network)))
    torch.save({k: torch.from_numpy(v) for k, v in state.items()}, tmp_path / "w.pth")
    config, variables = conversion.read_torch(tmp_path / "w.pth")
    assert config["name"] == "repnet-2020" and config["protocol"] == "released"
    weights.save_model(tmp_path / "model", config, variables)
    loaded, found, _ = loading.load_model(str(tmp_path / "model"))
    assert (loaded.periods, loaded.first_period) == (32, 1)
    flat = flax.traverse_util.flatten_dict(found, sep="/")
    total = sum(v.size for k, v in flat.items() if k.startswith("params/"))
    assert total == pytest.approx(25.7e6, rel=0.01)
