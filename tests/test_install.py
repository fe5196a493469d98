"""What is installed where: extras that are missing, other systems, configs and the sample."""

import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
import setuptools

from rac_jax import shipped
from rac_jax.cli import main, train
from rac_jax.counting import cache
from tests.test_project import ROOT

WITHOUT = """
import sys

for name in {names}:
    sys.modules[name] = None
from rac_jax.cli import main

sys.exit(main.main({words}))
"""
TRAIN = [
    "array_record",
    "grain",
    "ml_collections",
    "orbax.checkpoint",
    "tensorboardX",
    "tensorflow_datasets",
]


def run_without(names, *words):
    code = WITHOUT.format(names=list(names), words=list(words))
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_counting_needs_nothing_of_training(tmp_path):
    done = run_without(TRAIN, "count", "--sample", "--model", "frame-differences")
    assert done.returncode == 0 and "sample.mp4: " in done.stdout


def test_training_says_what_to_install(tmp_path):
    words = ("train", "--config", "compact:quick", "--workdir", str(tmp_path / "run"))
    done = run_without(["ml_collections"], *words)
    assert done.returncode == 2
    assert done.stderr == (
        "rac: train: needs ml_collections, which is not installed; "
        'pip install "rac_jax[train]"\n'
    )


def test_the_configs_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert train.load_config("compact:quick").family == "compact"
    assert train.load_sweeps("sight_sound")
    with pytest.raises(ValueError, match="nonesuch: is not a Python file"):
        train.load_config("nonesuch")
    assert shipped.find_shipped(*shipped.SAMPLE).stat().st_size > 1000
    assert shipped.find_shipped("configs", "nonesuch.py") is None


def test_nothing_to_count_is_said(capsys):
    assert main.main(["count"]) == 2
    assert (
        "give a video, a sound file or a folder, or --sample" in capsys.readouterr().err
    )


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write"
)
def test_a_cache_that_cannot_be_written_is_off(monkeypatch, tmp_path):
    tmp_path.chmod(0o500)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    assert cache.enable_compilation_cache() is None


def test_a_missing_home_is_quiet(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "cache"))
    assert cache.enable_compilation_cache() is None


@pytest.mark.parametrize(
    "platform",
    ["windows", "macos", "aarch64-unknown-linux-gnu", "x86_64-manylinux_2_28"],
)
def test_the_core_resolves_on_other_systems(platform, monkeypatch):
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    stated = {}
    monkeypatch.setattr(setuptools, "setup", lambda **fields: stated.update(fields))
    runpy.run_path(str(ROOT / "setup.py"))
    words = ["uv", "pip", "compile", "-", "--quiet", "--python-platform", platform]
    words += ["--python-version", "3.11", "--only-binary", ":all:"]
    # PyAV's wheels for macOS are of version 14 and later.
    target = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(
        words,
        input="\n".join(stated["install_requires"]),
        env=target,
        capture_output=True,
        text=True,
        check=False,
    )
    if re.search("error sending request|dns error", done.stderr, re.IGNORECASE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    assert "av==" in done.stdout and "grain==" not in done.stdout
    assert "array-record==" not in done.stdout
