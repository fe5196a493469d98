"""The authors' four files: read, run, written back, and refused with one clear line; models of
any form to PyTorch and back."""

import shutil

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import paper, release
from rac_jax.cli import main as cli
from rac_jax.counting import model_config, weights
from rac_jax.models import loading
from rac_jax.models.sight_sound import FAMILY, conversion

OPTIONS = {
    "--sight": "visual_checkpoint.pt",
    "--sound": "audio_checkpoint.pt",
    "--stride": "sr_checkpoint.pt",
    "--reliability": "conf_checkpoint.pt",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The four files, with random weights, and what they were converted to."""
    folder = tmp_path_factory.mktemp("release")
    release.save(release.Release(), folder)
    assert convert(folder, folder / "model") == 0
    yield folder
    shutil.rmtree(folder)  # two gigabytes with the others, which pytest would keep


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    yield
    shutil.rmtree(tmp_path)


def convert(folder, out, **files):
    arguments = ["convert", "sight-sound-release", "--out", str(out)]
    for option, file in OPTIONS.items():
        arguments += [option, str(files.get(option.strip("-"), folder / file))]
    return cli.main(arguments)


def test_config(folder):
    config = model_config.read_config(folder / "model")
    assert config["family"] == "sight_sound"
    assert config["protocol"] == "released"
    assert config["arguments"]["sight_bins"] == [2, 35]
    assert config["preprocessing"]["size"] == 112


def test_outputs_are_those_of_the_released_networks(folder):
    """Counts, stage features, stride scores and reliability of clips of an odd size."""
    module, variables, _ = loading.load_model(folder / "model")
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(2, 9, 35, 42, 3)).astype(np.float32)
    sounds = rng.normal(size=(2, 65, 90)).astype(np.float32)
    networks = release.Release()
    with torch.inference_mode():
        bins, classes, stage3, features = networks.sight(
            torch.from_numpy(np.moveaxis(clips, -1, 1).copy())
        )
        sound_bins, sound_classes, sound_stage3, _ = networks.sound(
            torch.from_numpy(sounds[:, None])
        )
        units = networks.stride(stage3, networks.stride_sound(sound_stage3))
        reliability = networks.reliability(sound_stage3, features)

        def counts(bins, classes, low, high):
            values = torch.arange(float(low), high + 1)
            per_class = bins.reshape(2, -1, len(values)).softmax(-1) @ values
            return (per_class * classes.softmax(-1)).sum(-1)

        want = {
            "sight": counts(bins, classes, 2, 35),
            "sound": counts(sound_bins, sound_classes, 2, 19),
            "features": features,
            "score": (units * classes.softmax(-1)).sum(-1),
            "weight of sight": torch.sigmoid(reliability[:, 0]),
        }
    out = jax.jit(module.apply)(variables, clips, sounds)
    got = {
        "sight": out.sight.count,
        "sound": out.sound.count,
        "features": out.sight.features,
        "score": out.score,
        "weight of sight": 1 - out.reliability,
    }
    errors = {
        name: float(np.linalg.norm(got[name] - value.numpy()) / value.norm())
        for name, value in want.items()
    }
    print(errors)
    assert max(errors.values()) < 1e-4


def test_there_and_back_bit_for_bit(folder, tmp_path, capsys):
    assert (
        cli.main(["convert", "to-torch", str(folder / "model"), "--out", str(tmp_path)])
        == 0
    )
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / file) for file in OPTIONS.values()]
    for file in OPTIONS.values():
        before, after = (
            torch.load(place / file, weights_only=True) for place in (folder, tmp_path)
        )
        assert before.keys() == after.keys()
        for key, state in before.items():
            assert state.keys() == after[key].keys()
            for name, tensor in state.items():
                copy = after[key][name]
                assert copy.dtype == tensor.dtype
                if key == "a_sr_state_dict" and name.startswith("fc."):
                    assert not copy.any()  # dropped, restored as zeros
                else:
                    assert torch.equal(copy, tensor), name
    # And from there to the same model again.
    assert convert(tmp_path, tmp_path / "again") == 0
    first, again = (
        weights.read_tensors(p / d) for p, d in ((folder, "model"), (tmp_path, "again"))
    )
    assert first.keys() == again.keys()
    for path, array in first.items():
        np.testing.assert_array_equal(again[path], array)
    assert not list(tmp_path.glob(".*"))


def rewrite(folder, tmp_path, file, change):
    """A copy of one file with its content changed."""
    content = torch.load(folder / file, weights_only=True)
    change(content)
    torch.save(content, tmp_path / file)
    return tmp_path / file


@pytest.mark.parametrize(
    "file,change,message",
    [
        (
            "conf_checkpoint.pt",
            lambda c: c["v_state_dict"].pop("fc.1.bias"),
            "lacks the tensor fc.1.bias",
        ),
        (
            "conf_checkpoint.pt",
            lambda c: c["v_state_dict"].update(extra=torch.ones(1)),
            "holds the tensor extra",
        ),
        (
            "conf_checkpoint.pt",
            lambda c: c["v_state_dict"].update({"fc.1.bias": torch.ones(3)}),
            "fc.1.bias is [3], the model has [2]",
        ),
        (
            "conf_checkpoint.pt",
            lambda c: c["v_state_dict"].update({"fc.1.bias": torch.ones(2, dtype=int)}),
            "fc.1.bias is of type int64",
        ),
        (
            "conf_checkpoint.pt",
            lambda c: c["v_state_dict"].update({"fc.1.bias": [1.0, 2.0]}),
            "fc.1.bias is a list, not a tensor",
        ),
        (
            "conf_checkpoint.pt",
            lambda c: c.update(state_dict=c.pop("v_state_dict")),
            "has no dictionary 'v_state_dict', it holds state_dict",
        ),
        (
            "sr_checkpoint.pt",
            lambda c: c["a_sr_state_dict"].pop("fc.weight"),
            "lacks the tensor fc.weight",
        ),
        (
            "sr_checkpoint.pt",
            lambda c: c["a_sr_state_dict"].update({"fc.weight": torch.ones(10, 512)}),
            "fc.weight is [10, 512], the model has [1000, 512]",
        ),
    ],
)
def test_misfits_are_named(folder, tmp_path, capsys, file, change, message):
    path = rewrite(folder, tmp_path, file, change)
    option = next(option for option, name in OPTIONS.items() if name == file)
    assert convert(folder, tmp_path / "model", **{option.strip("-"): path}) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"rac: {path}")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_unreadable_files_are_named(folder, tmp_path, capsys):
    shutil.copy(folder / "conf_checkpoint.pt", tmp_path / "short.pt")
    with open(tmp_path / "short.pt", "r+b") as file:
        file.truncate(1000)
    (tmp_path / "text.pt").write_text("no checkpoint", encoding="utf-8")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"v_state_dict": {}, "args": an_object()}, tmp_path / "objects.pt")
    for name, message in {
        "short.pt": "not a readable PyTorch checkpoint",
        "text.pt": "PyTorch checkpoint",
        "empty.pt": "not a readable PyTorch checkpoint",
        "missing.pt": "No such file",
        "list.pt": "holds a list, not a dictionary",
        "objects.pt": "tensors alone, so it is not loaded",
    }.items():
        path = tmp_path / name
        assert convert(folder, tmp_path / "model", reliability=path) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"rac: {path}: "), error
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def an_object():
    """An object that only unpickling could bring back."""
    import argparse

    return argparse.Namespace(epochs=3)


def test_swapped_files_are_noticed(folder, tmp_path, capsys):
    path = folder / "audio_checkpoint.pt"
    assert convert(folder, tmp_path / "model", sight=path) == 1
    assert "lacks the tensor" in capsys.readouterr().err


def test_paper_form_to_pytorch(tmp_path):
    """What we write loads into the reference network with nothing missing or left over."""
    variables = FAMILY.initialise(FAMILY.network(), jax.random.key(0))
    config = {
        "name": "x",
        "family": "sight_sound",
        "arguments": {},
        "preprocessing": {},
    }
    weights.save_model(tmp_path / "model", config, variables)
    arguments = [str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert cli.main(["convert", "to-torch", *arguments]) == 0
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    paper.SightSound().load_state_dict(state)


@pytest.mark.parametrize("encoder", ["s3d", "r2plus1d18"])
def test_narrow_models_there_and_back(encoder):
    module = FAMILY.network(sight_encoder=encoder, sight_width=0.125, sound_width=0.25)
    variables = FAMILY.initialise(module, jax.random.key(0))
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    table = conversion.whole_table(module)
    back = table.to_jax(table.to_torch(flat))
    assert back.keys() == flat.keys()
    for path, array in flat.items():
        np.testing.assert_array_equal(back[path], array)
