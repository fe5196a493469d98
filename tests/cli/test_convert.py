"""`rac convert`: its kinds come from the families and the encoders, and mistakes are one line."""

import argparse

import pytest

from rac_jax import models
from rac_jax.cli import convert, main
from rac_jax.counting.family import Conversion
from tests import own_process

KINDS = [
    "listen-to-look-student",
    "listen-to-look-skimming",
    "repnet",
    "sien",
    "simn",
    "si-blazepose",
    "sight-sound-release",
    "ta2net",
    "transrac",
    "gmflow",
    "s3d-kinetics",
    "r2plus1d-kinetics",
    "swin-kinetics",
    "resnet50-imagenet",
    "i3d-kinetics",
    "st-gcn",
    "ms-g3d",
    "efficientnet-lite-imagenet",
    "vggsound-resnet18",
]


def test_kinds():
    assert [one.kind for one in convert.conversions()] == KINDS


def test_help_is_light():
    code = (
        "import sys\n"
        "from rac_jax.cli import main\n"
        "try:\n"
        "    main.main(['convert', '--help'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "print(*sys.modules)"
    )
    *text, loaded = own_process.output(code).splitlines()
    assert not set(loaded.split()) & {"jax", "flax", "torch", "av", "matplotlib"}
    for kind in [*KINDS, "to-torch"]:
        assert any(kind in line for line in text)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_required(kind, capsys):
    with pytest.raises(SystemExit):
        main.main(["convert", kind, "--out", "x"])
    said = capsys.readouterr().err
    assert "required: --" in said or "one of the arguments --weights" in said


def test_a_family_of_another_package_brings_its_own(monkeypatch, tmp_path, capsys):
    def read(args):
        config = {"name": args.file, "family": "x", "arguments": {}}
        return config | {"preprocessing": {}}, {"params": {}, "batch_stats": {}}

    own = Conversion("toys", "a toy", lambda p: p.add_argument("--file"), read)

    class Toy:
        def conversions(self):
            return (own,)

    monkeypatch.setattr(models, "family_names", lambda: ["toy"])
    monkeypatch.setattr(models, "find_family", lambda name: Toy())
    out = tmp_path / "model"
    assert main.main(["convert", "toys", "--file", "f", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert (out / "config.json").exists()


def test_a_broken_family_is_reported_and_left_out(monkeypatch, capsys):
    def find(name):
        raise models.FamilyError(f"family {name!r}: cannot be loaded")

    monkeypatch.setattr(models, "family_names", lambda: ["broken"])
    monkeypatch.setattr(models, "find_family", find)
    convert.add_arguments(argparse.ArgumentParser(), [])
    assert capsys.readouterr().err == "rac: family 'broken': cannot be loaded\n"


def test_unknown_model(tmp_path, capsys):
    missing = tmp_path / "none"
    out = tmp_path / "out"
    assert main.main(["convert", "to-torch", str(missing), "--out", str(out)]) == 1
    assert "no such model" in capsys.readouterr().err
    assert not out.exists()


def test_a_family_without_a_pytorch_form(tmp_path, capsys):
    pytest.importorskip("torch", reason="needs PyTorch")
    out = tmp_path / "out"
    arguments = ["convert", "to-torch", "self-similarity", "--out", str(out)]
    assert main.main(arguments) == 1
    error = capsys.readouterr().err
    assert error == "rac: self-similarity: the family baseline has no PyTorch form\n"
