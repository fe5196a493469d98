"""`rac convert sien` and `simn`: the released layouts, and EfficientNet-Lite's."""

import flax.traverse_util
import jax
import numpy as np
import pytest

from rac_jax.cli.main import main
from rac_jax.models import loading
from rac_jax.models.sien import FAMILY

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import strided_inflated
from benchmarks.torch_reference.efficientnet_lite import EfficientNetLite
from benchmarks.torch_reference.layers import randomise


def test_the_light_network_and_back(tmp_path):
    network = randomise(strided_inflated.StridedInflated(strided_inflated.SIMN, True))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.ckpt")
    command = ["convert", "simn", "--weights", str(tmp_path / "w.ckpt")]
    assert main([*command, "--out", str(tmp_path / "model")]) == 0
    module, variables, config = loading.load_model(tmp_path / "model")
    assert (module.kind, module.width, module.phases) == ("mobilenet", 1.0, 3)
    assert config["preprocessing"]["colour"] == "bgr"
    assert loading.load(tmp_path / "model").config["scheme"] == "halves"
    written = FAMILY.to_torch(module, variables)["model.pt"]
    assert not written.pop("phase_head.weight").any()
    del written["phase_head.bias"]
    # Model folders are stored in half precision.
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(written[name], value, rtol=2e-3, atol=1e-3)


def test_an_efficientnet_lite_is_inflated(tmp_path):
    torch.save(EfficientNetLite(1.0, 1.0).state_dict(), tmp_path / "w.pth")
    command = ["convert", "sien", "--efficientnet-lite", str(tmp_path / "w.pth")]
    assert main([*command, "--out", str(tmp_path / "model")]) == 0
    module, variables, config = loading.load_model(tmp_path / "model")
    assert (module.width, module.depth, module.padding) == (1.0, 1.0, "same")
    assert config["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    kernel = flat["params/encoder/entry3/expand/kernel"]
    assert kernel.shape == (1, 1, 72, 144)
    np.testing.assert_array_equal(kernel[:, :, :24], kernel[:, :, 48:])


def test_norms_are_folded_into_what_is_written():
    written = []
    for norm in (True, False):
        module = FAMILY.network(width=0.1, depth=0.5, head=16, norm=norm)
        variables = FAMILY.initialise(module, jax.random.key(0))
        written.append(FAMILY.to_torch(module, variables)["model.pt"])
    ours, plain = written
    assert {name: np.shape(value) for name, value in ours.items()} == {
        name: np.shape(value) for name, value in plain.items()
    }
    # Nothing has been normalised yet: a mean of 0 and a variance of 1.
    name = "cnn.3.conv.0.0.weight"
    np.testing.assert_allclose(ours[name], plain[name] / np.sqrt(1.001), rtol=1e-5)


def test_other_files_are_refused_in_one_line(tmp_path, capsys):
    torch.save({"cnn.0.0.weight": torch.zeros(2)}, tmp_path / "w.ckpt")
    command = ["convert", "sien", "--weights", str(tmp_path / "w.ckpt")]
    assert main([*command, "--out", str(tmp_path / "model")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "w.ckpt: lacks the tensor cnn." in said
