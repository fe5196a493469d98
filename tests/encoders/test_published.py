"""Encoders from the public checkpoints, and back."""

import shutil

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import r2plus1d, resnet, resnet50, s3d
from benchmarks.torch_reference.layers import randomise
from rac_jax.cli import main as cli
from rac_jax.counting import model_config, weights
from rac_jax.models import loading


@pytest.fixture(autouse=True)
def tidy(tmp_path):
    """Removes the checkpoints, which pytest would keep."""
    yield
    shutil.rmtree(tmp_path)


def run(*arguments):
    return cli.main(["convert", *map(str, arguments)])


def arrays_of(folder):
    return weights.read_tensors(folder)


@pytest.mark.parametrize(
    "kind,network,nest,lead,classifier",
    [
        ("s3d-kinetics", s3d.S3D, None, "", "classifier.1"),
        ("r2plus1d-kinetics", r2plus1d.R2Plus1D18, None, "", "fc"),
        ("r2plus1d-kinetics", r2plus1d.R2Plus1D18, "state_dict", "module.", "fc"),
        (
            "vggsound-resnet18",
            lambda: resnet.ResNet18(309),
            "model_state_dict",
            "audnet.",
            "fc",
        ),
        ("vggsound-resnet18", resnet.ResNet18, None, "", "fc"),
        ("resnet50-imagenet", resnet50.ResNet50, None, "", "fc"),
    ],
)
def test_there_and_back(tmp_path, kind, network, nest, lead, classifier):
    """Read, written back: the same tensors bit for bit, without the classifier."""
    state = randomise(network()).state_dict()
    named = {lead + name: tensor for name, tensor in state.items()}
    torch.save({nest: named, "epoch": 3} if nest else named, tmp_path / "in.pt")
    assert run(kind, "--weights", tmp_path / "in.pt", "--out", tmp_path / "model") == 0
    assert run("to-torch", tmp_path / "model", "--out", tmp_path / "out") == 0
    back = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    dropped = {f"{classifier}.weight", f"{classifier}.bias"}
    if kind == "resnet50-imagenet":
        dropped |= {name for name in state if name.startswith("layer4.")}
    assert back.keys() == state.keys() - dropped
    for name, tensor in back.items():
        assert torch.equal(tensor, state[name]), name
    assert (
        run(
            kind,
            "--weights",
            tmp_path / "out" / "model.pt",
            "--out",
            tmp_path / "again",
        )
        == 0
    )
    again = arrays_of(tmp_path / "again")
    for path, array in arrays_of(tmp_path / "model").items():
        np.testing.assert_array_equal(again[path], array)


def test_kylemins_s3d_differs_in_names_only(tmp_path):
    state = randomise(s3d.S3D()).state_dict()
    torch.save(state, tmp_path / "torchvision.pt")
    renamed = {
        "module." + s3d.kylemin_name(name): value for name, value in state.items()
    }
    torch.save(renamed, tmp_path / "kylemin.pt")
    for name in ("torchvision", "kylemin"):
        assert (
            run(
                "s3d-kinetics",
                "--weights",
                tmp_path / f"{name}.pt",
                "--out",
                tmp_path / name,
            )
            == 0
        )
    theirs = arrays_of(tmp_path / "kylemin")
    for path, array in arrays_of(tmp_path / "torchvision").items():
        np.testing.assert_array_equal(theirs[path], array)
    mean = model_config.read_config(tmp_path / "kylemin")["preprocessing"]["mean"]
    assert mean == [0.5, 0.5, 0.5]


def test_a_backbone_loads_as_an_encoder(tmp_path):
    network = randomise(resnet.ResNet18())
    torch.save(network.state_dict(), tmp_path / "in.pt")
    assert (
        run(
            "vggsound-resnet18",
            "--weights",
            tmp_path / "in.pt",
            "--out",
            tmp_path / "model",
        )
        == 0
    )
    module, variables, config = loading.load_model(tmp_path / "model")
    assert config["family"] == "resnet18"
    x = np.random.default_rng(0).normal(size=(1, 65, 80, 1)).astype(np.float32)
    got = jax.jit(module.apply)(variables, x).features
    with torch.inference_mode():
        want = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).features.numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change,message",
    [
        (
            lambda s: s.pop("layer1.0.bn1.running_var"),
            "lacks the tensor layer1.0.bn1.running_var",
        ),
        (lambda s: s.update(extra=torch.ones(1)), "holds the tensor extra"),
        (
            lambda s: s.update({"conv1.weight": torch.ones(64, 3, 7, 7)}),
            "conv1.weight is [64, 3, 7, 7], the model has [64, 1, 7, 7]",
        ),
        (
            lambda s: s.update({"fc.weight": torch.ones(10, 9)}),
            "fc.weight is [10, 9], the model has [any, 512]",
        ),
    ],
)
def test_misfits_are_named(tmp_path, capsys, change, message):
    state = dict(resnet.ResNet18().state_dict())
    change(state)
    torch.save(state, tmp_path / "in.pt")
    assert (
        run(
            "vggsound-resnet18",
            "--weights",
            tmp_path / "in.pt",
            "--out",
            tmp_path / "model",
        )
        == 1
    )
    error = capsys.readouterr().err
    assert error.startswith(f"rac: {tmp_path / 'in.pt'}: ")
    assert message in error
    assert not (tmp_path / "model").exists()
