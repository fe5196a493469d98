"""Strided inflated networks and EfficientNet-Lite: parity, the public names, and any cutting."""

import functools
import io

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.encoders import Encoder, inverted_residuals, inverted_tables
from rac_jax.encoders.conversion import array_shapes, encoder_table, read_backbone
from rac_jax.encoders.efficientnet_lite import EfficientNetLite
from rac_jax.encoders.strided_inflated import StridedInflated
from rac_jax.interop.tables import TableError
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")
LIMIT = 1e-4
NARROW = {
    "sien": ("efficientnet", 0.25, 1.8),
    "simn": ("mobilenet", 0.25, 1.0),
}
# Of every kind some, so that the test says something where the whole lists are not at hand.
SOME = {
    "sien": {
        "cnn.0.0.weight": [32, 3, 3, 3],
        "cnn.1.conv.1.bias": [24],
        "cnn.7.conv.0.0.weight": [336, 168, 1, 1],
        "cnn.25.conv.0.0.weight": [1632, 816, 1, 1],
        "cnn.31.0.weight": [1280, 448, 1, 1],
    },
    "simn": {
        "cnn.5.conv.0.0.weight": [192, 32, 1, 1],
        "cnn.17.conv.2.weight": [320, 960, 1, 1],
        "cnn.18.0.bias": [1280],
    },
}
PUBLIC = {"sien": "sense strided_inflated_efficientnet.ckpt", "simn": "sense_simn"}
SIZES = {"sien": 182, "simn": 104}


def error(got, want):
    want = want.numpy()
    return float(np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want))


def random_variables(encoder, module, seed=0):
    """He's weights, small biases and means, scales and variances about 1."""
    rng = np.random.default_rng(seed)

    def draw(path, shape):
        if path.endswith(("scale", "var")):
            return rng.uniform(0.5, 1.5, shape)
        deviation = np.sqrt(2 / max(1, np.prod(shape[:-1])))
        return rng.normal(0, deviation if path.endswith("kernel") else 0.2, shape)

    flat = {
        path: draw(path, shape) for path, shape in array_shapes(encoder, module).items()
    }
    flat = {path: np.float32(value) for path, value in flat.items()}
    return flax.traverse_util.unflatten_dict(flat, sep="/")


@pytest.fixture(scope="module", params=NARROW)
def pair(request):
    """(the reference, our network, its variables) of one kind."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference import strided_inflated
    from benchmarks.torch_reference.layers import randomise

    kind, width, depth = NARROW[request.param]
    module = StridedInflated(kind, width, depth, head=40)
    table = strided_inflated.TABLES[request.param]
    wide = [row[1] for row in table]
    narrow = dict(zip(wide, (b.channels for b in module.blocks), strict=True))
    table = strided_inflated.narrower(table, narrow.__getitem__)
    torch.manual_seed(0)
    sparse = request.param == "simn"
    network = randomise(strided_inflated.StridedInflated(table, sparse, head=40))
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    flat = encoder_table("strided_inflated", module).to_jax(state)
    return network, module, flax.traverse_util.unflatten_dict(flat, sep="/")


def test_whole_network(pair):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    network, module, variables = pair
    x = np.random.default_rng(0).uniform(size=(1, 14, 37, 44, 3)).astype(np.float32)
    frames = torch.from_numpy(np.moveaxis(x[0], -1, 1).copy())
    with torch.inference_mode():
        want = network(frames[:12])
    got = jax.jit(functools.partial(module.apply, variables))(x)
    # Two frames are left over.
    assert got.shape == (1, 3, 40)
    assert error(got[0], want) < LIMIT
    assert want.std(0).mean() > 1e-3


@pytest.mark.parametrize("name", NARROW)
def test_public_names(name):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference import strided_inflated

    del torch
    table = strided_inflated.TABLES[name]
    network = strided_inflated.StridedInflated(table, name == "simn")
    found = layouts.layout(network.state_dict())
    assert SOME[name].items() <= found.items() and len(found) == SIZES[name]
    kind = NARROW[name][0]
    wide = {"efficientnet": 1.4, "mobilenet": 1.0}[kind]
    module = StridedInflated(kind, wide, NARROW[name][2])
    ours = encoder_table("strided_inflated", module)
    assert layouts.names_of(ours) == found
    public = layouts.published()
    if public is None:
        pytest.skip("the public layouts are not at hand")
    assert public[PUBLIC[name]] == found


@pytest.fixture(
    scope="module",
    params=["efficientnet", pytest.param("mobilenet", marks=pytest.mark.slow)],
)
def small(request):
    """(module, variables, a clip of 21 frames, its features) of a small network.

    One as published, and one with normalisations and a first convolution that looks back.
    """
    ours = request.param == "efficientnet"
    own = {"stem_looks_back": ours, "norm": ours}
    depth = 0.5 if ours else 1.0
    module = StridedInflated(request.param, 0.2, depth, head=24, **own)
    variables = random_variables("strided_inflated", module)
    clip = np.random.default_rng(0).uniform(size=(2, 21, 16, 16, 3))
    clip = clip.astype(np.float32)
    return module, variables, clip, jax.jit(module.apply)(variables, clip)


def test_any_cutting_gives_the_same_and_no_frame_is_lost(small):
    module, variables, clip, whole = small
    assert whole.shape == (2, 5, 24)

    @jax.jit
    def step(state, frames):
        return module.apply(variables, state, frames, method="step")

    def on_disk(state):
        """A state that was written and read again."""
        leaves, structure = jax.tree.flatten(state)
        file = io.BytesIO()
        np.savez(file, *leaves)
        file.seek(0)
        with np.load(file) as read:
            return jax.tree.unflatten(structure, [read[name] for name in read.files])

    state, done, found = module.start(2, 16, 16), 0, []
    # Two programs that look at something: of 3 + 1 frames, and of 2 + 6.
    for number in (3, 1, 0, 2, 6, 3, 1, 3, 1, 1):
        state = on_disk(state)
        state, features = step(state, clip[:, done : done + number])
        done += number
        found.append(features)
        assert state.rest.shape[1] == done % 4
        assert sum(one.shape[1] for one in found) == done // 4
    got = np.concatenate(found, axis=1)
    np.testing.assert_allclose(got, whole, atol=1e-5 * float(jnp.abs(whole).max()))


def test_nothing_looks_ahead(small):
    module, variables, clip, whole = small
    changed = clip.copy()
    changed[:, 8:] = 0.5
    got = jax.jit(module.apply)(variables, changed)
    np.testing.assert_allclose(got[:, :2], whole[:, :2], rtol=1e-5)
    assert np.abs(got[:, 2:] - whole[:, 2:]).max() > 1e-3


def test_norms_folded_into_the_published_layout(small):
    module, variables, clip, whole = small
    flat = inverted_tables.folded(flax.traverse_util.flatten_dict(variables, sep="/"))
    plain = module.clone(norm=False)
    shapes = array_shapes("strided_inflated", plain)
    assert {path: value.shape for path, value in flat.items()} == shapes
    assert ("params/entry0/bias" in flat) and len(shapes) % 2 == 0
    got = jax.jit(plain.apply)(flax.traverse_util.unflatten_dict(flat, sep="/"), clip)
    np.testing.assert_allclose(got, whole, atol=1e-5 * float(jnp.abs(whole).max()))


def test_a_norm_in_training_takes_up_what_it_normalised_by():
    layer = inverted_residuals.Convolution(6, norm=True)
    x = np.random.default_rng(0).normal(1, 2, (3, 4, 4, 5)).astype(np.float32)
    variables = layer.init(jax.random.key(0), x)
    y, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    linear = np.einsum("bhwc,co->bhwo", x, variables["params"]["kernel"][0, 0])
    mean, var = linear.mean((0, 1, 2)), linear.var((0, 1, 2))
    found = updated["batch_stats"]["norm"]
    np.testing.assert_allclose(found["mean"], 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * var, rtol=1e-4)
    # Once these are the running ones, the same comes out without training.
    known = {"norm": {"mean": mean, "var": var}}
    after = layer.apply(variables | {"batch_stats": known}, x)
    np.testing.assert_allclose(after, y, atol=1e-4)
    assert float(y.min()) == 0 and float(y.max()) <= 6


def test_blocks_that_look_back_at_other_depths():
    def places(depth):
        blocks = inverted_residuals.make_blocks(
            "efficientnet", 1.0, depth, temporal=True
        )
        found = [(i, b.halves) for i, b in enumerate(blocks, 1) if b.looks_back]
        return [i for i, _ in found], [i for i, halves in found if halves]

    assert places(1.8) == ([3, 7, 11, 14, 17, 20, 23, 25], [7, 14])
    assert places(1.0) == ([3, 5, 7, 8, 10, 11, 13, 14], [5, 8])
    assert places(0.5) == ([2, 3, 4, 5, 6, 7, 8, 9], [3, 5])
    with pytest.raises(ValueError, match="depth: 0.3 leaves 1 of the 2 blocks"):
        places(0.3)
    for arguments, message in (
        ({"kind": "x"}, "kind: 'x' is not one of efficientnet, mobilenet"),
        ({"width": 0.0}, "width: 0.0 is not above 0"),
        ({"padding": "x"}, "padding: 'x' is not one of symmetric, same"),
    ):
        with pytest.raises(ValueError, match=message):
            array_shapes("strided_inflated", StridedInflated(**arguments))


def test_pictures_that_do_not_fit_are_refused(small):
    module, variables, clip, _ = small
    with pytest.raises(ValueError, match=r"clips is \[2, 21, 16, 16, 1\], must be"):
        module.apply(variables, clip[..., :1])


@pytest.fixture(scope="module")
def lite():
    """(the reference with batch normalisation, its state dict) of a narrow EfficientNet-Lite."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference.efficientnet_lite import EfficientNetLite as Torch
    from benchmarks.torch_reference.layers import randomise

    torch.manual_seed(0)
    network = randomise(Torch(0.25, 0.5, head=40, classes=7))
    return network, {n: v.numpy() for n, v in network.state_dict().items()}


def test_folded_norms_and_a_still_picture(lite):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    network, state = lite
    folded = inverted_tables.fold_norms(state)
    module = EfficientNetLite(0.25, 0.5, head=40)
    flat = encoder_table("efficientnet_lite", module).to_jax(folded)
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 36, 43, 3)).astype(np.float32)
    with torch.inference_mode():
        before, after = network.features(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    got = jax.jit(module.apply)(variables, x)
    assert error(got.features, after) < LIMIT
    assert error(np.moveaxis(np.asarray(got.stage3), -1, 1), before) < LIMIT

    # Inflated, it says the same of a picture that stands still, once it has seen enough of it.
    inflated = StridedInflated("efficientnet", 0.25, 0.5, head=40, padding="same")
    shapes = array_shapes("strided_inflated", inflated)
    other = flax.traverse_util.unflatten_dict(
        inverted_tables.inflate(flat, shapes), sep="/"
    )
    still = np.repeat(x[:, None], 48, axis=1)
    seen = jax.jit(inflated.apply)(other, still)
    np.testing.assert_allclose(seen[:, -1], got.features, atol=1e-4)
    with pytest.raises(TableError, match="lacks the array params/entry0/bias"):
        inverted_tables.inflate(
            {k: v for k, v in flat.items() if k != "params/entry0/bias"}, shapes
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("_bn1.bias"), "lacks the tensor _bn1.bias"),
        (lambda s: s.pop("_blocks.2._project_conv.weight"), "has the blocks of no pub"),
        (lambda s: s.update(extra=np.zeros(1, "f")), "holds the tensor extra, which"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference.efficientnet_lite import EfficientNetLite as Torch

    state = {n: v.numpy() for n, v in Torch(1.0, 1.0).state_dict().items()}
    change(state)
    torch.save(
        {n: torch.from_numpy(np.asarray(v)) for n, v in state.items()},
        tmp_path / "w.pth",
    )
    with pytest.raises(ValueError, match=message):
        read_backbone("efficientnet-lite-imagenet", tmp_path / "w.pth")


def test_the_public_file_of_lite_2(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference.efficientnet_lite import EfficientNetLite as Torch

    network = Torch(1.1, 1.2)
    found = layouts.layout(network.state_dict())
    assert len(found) == 386
    public = layouts.published()
    if public is not None:
        (name,) = (name for name in public if "efficientnet-lite2" in name)
        assert public[name] == found
    torch.save(network.state_dict(), tmp_path / "w.pth")
    config, variables = read_backbone("efficientnet-lite-imagenet", tmp_path / "w.pth")
    assert config["arguments"] == {"width": 1.1, "depth": 1.2}
    assert config["preprocessing"]["size"] == 260
    encoder = Encoder("efficientnet_lite")
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    written = encoder.to_torch(encoder.network(**config["arguments"]), variables)
    kernel = written["model.pt"]["_blocks.3._depthwise_conv.weight"]
    np.testing.assert_array_equal(
        np.moveaxis(kernel, (1, 0), (-2, -1)),
        flat["params/entry4/depthwise/kernel"],
    )
