"""A stranger's family, installed as a package of its own, through the public commands alone."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOY = ROOT / "tests" / "toy_family"
LARGEST = 150  # lines of code


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> pathlib.Path:
    """The folder that the package was installed to; its entry point is found through it."""
    folder = tmp_path_factory.mktemp("toy")
    # Building leaves files beside the sources, so a copy is built.
    source = shutil.copytree(TOY, folder / "source")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index"),
            *("--no-deps", "--no-build-isolation", "--disable-pip-version-check"),
            *("--target", str(folder / "site"), str(source)),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "site"


@pytest.fixture(scope="module")
def environment(installed, tmp_path_factory) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)]),
        "RAC_JAX_CACHE": str(tmp_path_factory.mktemp("cache")),
        # These programs compile more than they compute.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }


def _rac(environment, *words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rac_jax.cli.main", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _training(workdir) -> list[str]:
    return ["train", "--config", str(TOY / "config.py"), "--workdir", str(workdir)]


@pytest.fixture(scope="module")
def model(environment, tmp_path_factory) -> pathlib.Path:
    """The toy, trained: killed in the middle, and gone on with by the same command."""
    workdir = tmp_path_factory.mktemp("run") / "W"
    command = [sys.executable, "-m", "rac_jax.cli.main", *_training(workdir)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoints = workdir / "pixels" / "checkpoints"
    end = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < end:
        if any(path.name.isdigit() for path in checkpoints.glob("*")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workdir / "evaluation.json").exists()
    done = _rac(environment, *_training(workdir))
    assert done.returncode == 0, done.stderr
    assert "goes on from step" in done.stderr
    assert "sight" in done.stdout
    return workdir / "export"


def test_the_toy_is_small():
    lines = [
        line
        for path in sorted((TOY / "rac_toy").glob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    assert len(lines) < LARGEST


def test_the_guide_shows_exactly_this_code():
    """Every block of code in the guide stands in the toy, and all of the toy is shown."""
    guide = (ROOT / "docs" / "add_a_family.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", guide, re.DOTALL)
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for path in [*(TOY / "rac_toy").glob("*.py"), TOY / "pyproject.toml"]
    }
    for block in blocks:
        assert any(block in source for source in sources.values()), block[:80]
    shown = "\n".join(blocks)
    for name, source in sources.items():
        for line in filter(str.strip, source.splitlines()):
            assert line in shown, f"{name}: {line}"


def test_count_plot_annotate_json_and_evaluate(environment, model, tmp_path):
    sample = ROOT / "examples" / "sample.mp4"
    done = _rac(
        environment,
        *("count", sample, "--model", model, "--json", tmp_path / "one.json"),
        *("--plot", tmp_path / "one.png", "--annotate", tmp_path / "one.mp4"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{sample}: ")
    record = json.loads((tmp_path / "one.json").read_text())
    assert (record["family"], record["model"]) == ("toy", "toy")
    assert (tmp_path / "one.png").stat().st_size > 1000
    assert (tmp_path / "one.mp4").stat().st_size > 1000
    labels = tmp_path / "labels.csv"
    labels.write_text(f"file,start_s,end_s,count\n{sample},,,7\n")
    done = _rac(environment, "evaluate", labels, "--model", model)
    assert done.returncode == 0, done.stderr
    assert "overall: 1 videos, MAE" in done.stdout


def test_its_help_and_a_flag_that_it_does_not_have(environment, model):
    done = _rac(environment, "count", "--model", model, "--help")
    assert done.returncode == 0 and "options of toy:" in done.stdout
    done = _rac(environment, "count", "x.mp4", "--model", model, "--no-sound")
    assert done.returncode == 2
    assert "--no-sound: is no option of toy (it has: none)" in done.stderr


def test_without_the_package_its_models_are_one_clear_line(model):
    clean = os.environ | {"PYTHONPATH": str(ROOT)}
    done = _rac(clean, "count", ROOT / "examples" / "sample.mp4", "--model", model)
    assert done.returncode == 2
    assert (
        "unknown model family 'toy', known: baseline, classifier, compact"
        in done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1
