"""Listen to Look as a family: converted files become model folders, and files again."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import listen_to_look as reference
from benchmarks.torch_reference.layers import randomise
from rac_jax.cli import main
from rac_jax.counting.model_config import ModelError
from rac_jax.models import loading
from rac_jax.models.listen_to_look import FAMILY

pytestmark = pytest.mark.usefixtures("quick_compiling")

SIZES = {"classes": 6, "features": 8, "hidden": 16, "keys": 12, "fused": 10}


def converted(folder, files, kind):
    """A model folder of PyTorch modules that were saved to files."""
    arguments = ["convert", kind]
    for option, network in files.items():
        torch.save(network.state_dict(), folder / f"{option}.pth")
        arguments += [f"--{option}", str(folder / f"{option}.pth")]
    return main.main([*arguments, "--out", str(folder / "model")])


@pytest.mark.parametrize("banks", [1, 2])
def test_skimming_there_and_back(banks, tmp_path):
    network = randomise(reference.Skimming(**SIZES, banks=banks, normalised=True))
    assert converted(tmp_path, {"weights": network}, "listen-to-look-skimming") == 0
    ours, _, config = loading.load_model(tmp_path / "model")
    assert config["arguments"]["banks"] == ours.banks == banks
    assert {
        name: getattr(ours, name) for name in ("classes", "features", "hidden")
    } == {name: SIZES[name] for name in ("classes", "features", "hidden")}
    assert ours.normalised
    assert (
        main.main(
            [
                "convert",
                "to-torch",
                str(tmp_path / "model"),
                "--out",
                str(tmp_path / "back"),
            ]
        )
        == 0
    )
    back = torch.load(tmp_path / "back" / "skimming.pt", weights_only=True)
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(back[name], tensor, atol=1e-6, rtol=0)
    with pytest.raises(ModelError, match="listen_to_look, which does not count"):
        loading.load(tmp_path / "model")


def test_a_file_that_does_not_fit_is_named(tmp_path, capsys):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    out = ["--out", str(tmp_path / "model")]
    for kind, names in (
        ("listen-to-look-skimming", ("weights",)),
        ("listen-to-look-student", ("image", "audio", "fusion")),
    ):
        files = [part for n in names for part in (f"--{n}", str(tmp_path / "a.pth"))]
        assert main.main(["convert", kind, *files, *out]) == 1
        said = capsys.readouterr().err
        assert "a.pth: lacks the tensor net_classifier.classifier.weight" in said
        assert said.count("\n") == 1


def test_parts_and_their_arguments():
    with pytest.raises(ValueError, match="part: 'eye' is not one of student, skimming"):
        FAMILY.network(part="eye", classes=3)
    with pytest.raises(TypeError, match="listen_to_look skimming has no argument 'w'"):
        FAMILY.network(part="skimming", classes=3, w=1)
    skimming = FAMILY.network(part="skimming", dtype="bfloat16", **SIZES)
    variables = FAMILY.initialise(skimming, jax.random.key(0))
    assert set(variables) == {"params", "batch_stats"}
    assert np.isfinite(variables["params"]["lstm"]["input_kernel"]).all()


@pytest.mark.slow
def test_the_student_there_and_back(tmp_path):
    image, audio = reference.VisualNet(64), reference.AudioNet(64)
    files = {"image": image, "audio": audio}
    files = {name: randomise(one) for name, one in files.items()}
    fusion = torch.nn.Module()
    fusion.net_imageAudio, fusion.net_classifier = torch.nn.Module(), torch.nn.Module()
    fusion.net_imageAudio.imageAudio_fc1 = torch.nn.Linear(1024, 1024)
    fusion.net_imageAudio.imageAudio_fc2 = torch.nn.Linear(1024, 512)
    fusion.net_classifier.classifier = torch.nn.Linear(512, 9)
    files["fusion"] = fusion
    assert converted(tmp_path, files, "listen-to-look-student") == 0
    ours, _, _ = loading.load_model(tmp_path / "model")
    assert ours.classes == 9 and ours.released
    assert (
        main.main(
            [
                "convert",
                "to-torch",
                str(tmp_path / "model"),
                "--out",
                str(tmp_path / "back"),
            ]
        )
        == 0
    )
    for option, network in files.items():
        back = torch.load(tmp_path / "back" / f"{option}.pt", weights_only=True)
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(back[name], tensor, atol=1e-6, rtol=0)
