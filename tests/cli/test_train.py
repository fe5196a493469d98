"""`rac train` from the command line: a whole run at toy size, and what can go wrong."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import rac_jax
from rac_jax.cli import train
from rac_jax.models import find_family, loading
from rac_jax.train.recipe import ArrayExamples
from tests import own_process
from tests.train import tiny_family, tiny_task, toy

pytestmark = pytest.mark.usefixtures("quick_compiling")

COMPACT = toy.ROOT / "configs" / "compact.py"


def toy_arguments(workdir, variant: str = "small", **fields) -> list[str]:
    """Sight learns from the cache, sound from what is rendered in the step."""
    return toy.arguments(workdir, variant, **{"sight__examples": "videos"} | fields)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    assert train.main(toy_arguments(folder)) == 0
    return folder


def test_every_stage_leaves_its_files(trained):
    for stage in ("sight", "sound", "stride", "reliability"):
        left = {path.name for path in (trained / stage).iterdir()}
        wanted = {
            "checkpoints",
            "events",
            "metrics.jsonl",
            "variables.safetensors",
            "finished.json",
        }
        assert wanted <= left
    sight = json.loads((trained / "sight" / "predictions.json").read_text())
    assert sight["strides"] == [1, 2, 3] and len(sight["videos"]) == 6
    assert all(len(counts) == 3 for counts in sight["videos"].values())
    empirical = json.loads((trained / "reliability" / "predictions.json").read_text())
    assert empirical["epochs"] == {"sight": [1, 2], "sound": [1, 2]}
    by_epoch = [
        json.loads((trained / "sight" / "epochs" / f"epoch_000{i}.json").read_text())
        for i in (1, 2)
    ]
    for name, mean in empirical["videos"]["sight"].items():
        each = [record["predictions"][name] for record in by_epoch]
        assert mean == pytest.approx(np.mean(each))


def test_the_run_says_what_it_was(trained):
    run = json.loads((trained / "run.json").read_text())
    assert run["config"]["sight"]["batch"] == 4 and run["seed"] == 0
    assert {"jax", "flax", "optax", "python", "rac_jax"} <= run["versions"].keys()
    assert run["commit"] is None or len(run["commit"].removesuffix("+changes")) == 40


def test_metrics_have_losses_times_and_validation(trained):
    text = (trained / "sight" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [2, 4]
    last = [row for row in rows if row["kind"] == "train"][-1]
    assert {"loss", "relative", "clips_per_s", "data_s", "compute_s"} <= last.keys()
    assert {"mae", "obo"} <= next(r for r in rows if r["kind"] == "validation").keys()


def test_the_export_counts(trained, clip):
    network, _, config = loading.load_model(trained / "export")
    assert network.sight_encoder == "r2plus1d18" and config["max_stride"] == 3
    assert config["training"]["seed"] == 0
    result = rac_jax.load(trained / "export").count(clip)
    assert np.isfinite(result.count) and result.count >= 0


def test_the_measurement_has_every_estimator(trained):
    report = json.loads((trained / "evaluation.json").read_text())
    names = ["sight", "sound", "sight_ranker", "average", "fused"]
    assert list(report["estimators"]) == [*names, "stride_1", "stride_2", "stride_3"]
    assert len(report["videos"]) == 4
    parts = report["challenges"]
    assert (
        sum(parts[name]["sight"]["n"] for name in ("no challenge", "any challenge"))
        == 4
    )
    assert len(parts) > 2


def test_a_finished_stage_is_not_run_again(trained, tmp_path, capsys):
    folder = tmp_path / "again"
    shutil.copytree(trained, folder, symlinks=True)
    before = (folder / "sight" / "variables.safetensors").stat().st_mtime_ns
    (folder / "evaluation.json").unlink()
    shutil.rmtree(folder / "reliability")
    assert train.main(toy_arguments(folder)) == 0
    assert (folder / "sight" / "variables.safetensors").stat().st_mtime_ns == before
    one, two = (
        json.loads((where / "evaluation.json").read_text())
        for where in (trained, folder)
    )
    assert one == two
    assert str(folder / "export") in capsys.readouterr().out


def test_other_test_videos_are_measured_without_training(trained, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(trained, folder, symlinks=True)
    before = (folder / "reliability" / "finished.json").read_bytes()
    assert train.main(toy_arguments(folder, data__test__number=2)) == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert len(report["videos"]) == 2
    assert (folder / "reliability" / "finished.json").read_bytes() == before


def test_another_config_in_the_same_workdir_is_refused(trained, capsys):
    described = (trained / "run.json").read_bytes()
    assert train.main(toy_arguments(trained, sight__epochs=3)) == 1
    assert (trained / "run.json").read_bytes() == described
    error = capsys.readouterr().err
    assert "finished.json: was made with sight.epochs = 2, this run has 3" in error
    # What only says how often something is shown may change.
    assert train.main(toy_arguments(trained, sight__log_steps=7)) == 0


def test_a_damaged_stage_file_is_named(trained, tmp_path, capsys):
    folder = tmp_path / "damaged"
    shutil.copytree(trained, folder, symlinks=True)
    shutil.rmtree(folder / "stride")
    (folder / "sight" / "predictions.json").write_text("{}")
    assert train.main(toy_arguments(folder)) == 1
    assert "predictions.json: is not of schema" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            {"sight__epoch": 3},
            2,
            "sight.epoch: the config has no such field; did you mean --config.sight.epochs",
        ),
        ({"sight__batch": "many"}, 2, "sight.batch"),
        (
            {"stride__strides": "('a', 2)"},
            2,
            "stride.strides: must hold values of type int, as (1, 2, 3, 4, 5) does",
        ),
        (
            {"family": "sight_sond"},
            1,
            "unknown model family 'sight_sond', known: baseline",
        ),
        ({"family": "baseline"}, 1, "family: baseline has no"),
        ({"start__model": "nothing"}, 1, "nothing: no such model folder"),
        (
            {"start__sight_encodr": "compact"},
            1,
            "start.sight_encodr: the model has no such group of parameters, it has: rank",
        ),
        (
            {"start__sight_encoder": "compact"},
            1,
            "start.sight_encoder: compact does not fit the model at",
        ),
        (
            {"start__a__b": "compact"},
            2,
            "start.a.b: the config has no such field; did you mean --config.start.model",
        ),
        ({"sight__log_steps": 0}, 1, "sight.log_steps: must be at least 1, not 0"),
        ({"loss__terms": ("l1",)}, 1, "loss.terms: 'l1' is not one of"),
        (
            {"sight__batch": 5, "sight__accumulate": 2},
            1,
            "sight.accumulate: 2 does not",
        ),
        ({"model__sight_head": "best"}, 1, "sight_head 'best' must be one of"),
        ({"stride__strides": (2, 1)}, 1, "stride.strides: (2, 1) do not rise"),
        ({"stride__rankers": ("x",)}, 1, "stride.rankers: 'x' is not one of"),
        ({"reliability__fusion": "x"}, 1, "reliability.fusion: 'x' is not one of"),
        ({"reliability__predictions": "x"}, 1, "reliability.predictions: 'x' is not"),
        ({"reliability__stride": "x"}, 1, "reliability.stride: 'x' is not one of"),
        ({"data__train__kind": "tape"}, 1, "data.train.kind: 'tape' is not one of"),
        ({"sound__windows": 3}, 1, "sound.windows: 3 does not divide the batch of"),
        ({"sight__examples": "air"}, 1, "sight.examples: 'air' is not one of"),
        ({"mesh__fsdp": 7}, 1, "mesh.fsdp: 7 does not divide 1 devices"),
        ({"precision": "int8"}, 1, "precision: 'int8' is not auto"),
        ({"sight__optimiser__name": "lion"}, 1, "optimiser.name: 'lion' is not one of"),
    ],
)
def test_wrong_fields_are_named(tmp_path, capsys, changes, code, message):
    assert train.main(toy_arguments(tmp_path / "run", **changes)) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()  # before anything is begun


def test_a_group_that_another_familys_model_lacks_is_named(tmp_path, capsys):
    """The compact model has no sight_encoder."""
    arguments = [
        f"--config={COMPACT}:quick",
        f"--workdir={tmp_path / 'run'}",
        "--config.start.sight_encoder=compact",
    ]
    assert train.main(arguments) == 1
    error = capsys.readouterr().err
    assert "start.sight_encoder: the model has no such group of parameters" in error
    assert "sight_decoder" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_any_group_of_parameters_can_be_begun_with(tmp_path):
    arguments = toy_arguments(tmp_path, start__ranker="some/model")
    _, config = train.parse(arguments)
    assert config.start.to_dict() == {"model": "", "ranker": "some/model"}
    # What the file itself gives is left as it is.
    assert toy.load_config("small").start.to_dict() == {"model": ""}


TINY_CONFIG = """
from tests.train import tiny_family

def get_config():
    return tiny_family.tiny_config(epochs=1, epoch_steps=3)

def get_sweeps():
    cell = {"estimator": "sight", "metric": "mae", "paper": None}
    return {
        "lengths": {
            "title": "Lengths",
            "runs": {"short": {"tiny.epochs": 1}, "long": {"tiny.epochs": 2}},
            "columns": ["MAE"],
            "rows": [
                {"name": run, "cells": {"MAE": cell | {"run": run}}}
                for run in ("short", "long")
            ],
            "note": "",
        }
    }
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Makes the tiny family known, on examples in memory; the arguments of a run of it."""
    family = tiny_family.TinyFamily(ArrayExamples(tiny_task.batch))
    known = {"train": None, **tiny_family.tiny_sources()}
    monkeypatch.setattr(
        "rac_jax.models.find_family",
        lambda name: family if name == "tiny" else find_family(name),
    )
    monkeypatch.setattr(
        "rac_jax.train.splits.open_split", lambda data, split, folder: known[split]
    )
    for name in ("tiny.py", "tiny_sweeps.py"):
        (tmp_path / name).write_text(TINY_CONFIG)
    return [f"--config={tmp_path / 'tiny.py'}", f"--workdir={tmp_path / 'run'}"]


def test_a_family_of_any_kind_is_trained(tiny, tmp_path, capsys):
    assert train.main(tiny) == 0
    head, row, folder = capsys.readouterr().out.splitlines()
    assert head.split() == ["MAE", "/", "rounded", "/", "OBO", "videos", "sight"]
    assert row.split()[:2] == ["all", "3"] and folder == str(tmp_path / "run/export")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["config"]["name"] == "tiny-model"


def test_a_sweep_trains_every_run(tiny, tmp_path, capsys):
    assert train.main([*tiny, "--sweep=lengths"]) == 0
    for run, epochs in (("short", 1), ("long", 2)):
        described = json.loads((tmp_path / "run" / run / "run.json").read_text())
        assert described["config"]["tiny"]["epochs"] == epochs
        assert described["config"]["share_stages"] is True
    assert capsys.readouterr().out.count("MAE / rounded / OBO") == 2
    # A sibling with the same settings has been trained already.
    (tmp_path / "run" / "long").rename(tmp_path / "run" / "other")
    assert train.main([*tiny, "--sweep=lengths"]) == 0
    assert (tmp_path / "run" / "long" / "tiny").is_symlink()


def test_a_config_without_a_needed_field_is_refused(tiny, tmp_path, capsys):
    text = TINY_CONFIG.replace("    return tiny", "    config = tiny", 1)
    text = text.replace(
        "epoch_steps=3)\n",
        "epoch_steps=3)\n    del config.share_stages\n    return config\n",
    )
    (tmp_path / "tiny.py").write_text(text)
    assert train.main(tiny) == 1
    error = capsys.readouterr().err
    assert "share_stages: the config has no such field" in error
    assert error.count("\n") == 1


def test_help_and_mistakes_need_no_jax():
    code = (
        "import sys\n"
        "from rac_jax.cli import train\n"
        f"train.main(['--help', '--config={toy.CONFIG}'])\n"
        f"train.main(['--config={toy.CONFIG}', '--workdir=x', '--config.sigt=1'])\n"
        "print('jax' in sys.modules)"
    )
    assert own_process.output(code).splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--workdir=x"], "--config is missing"),
        ([f"--config={toy.CONFIG}"], "--workdir is missing"),
        (["--config=none.py", "--workdir=x"], "none.py"),
        (
            [f"--config={toy.CONFIG}:huge", "--workdir=x"],
            "no variant 'huge'; there are",
        ),
        (
            [f"--config={toy.CONFIG}", "--workdir=x", "more"],
            "unexpected argument 'more'",
        ),
        ([f"--config={toy.CONFIG}", "--workdr=x"], "workdr"),
    ],
)
def test_wrong_command_lines(argv, message, capsys):
    assert train.main(argv) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_help(capsys):
    assert train.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "--workdir" in text and "--sweep" in text and "--config" in text


def test_help_lists_the_fields_of_a_config(capsys):
    assert train.main(["--help", f"--config={toy.CONFIG}:small"]) == 0
    text = capsys.readouterr().out
    assert "--config.sight.optimiser.learning_rate=0.002" in text


def test_missing_labels_are_said(tmp_path, capsys):
    assert train.main([f"--config={toy.CONFIG}", f"--workdir={tmp_path / 'w'}"]) == 1
    assert "data.train.path: is empty, a csv needs one" in capsys.readouterr().err


def test_an_unknown_sweep_lists_the_known(tmp_path, capsys):
    code = train.main([*toy_arguments(tmp_path / "w"), "--sweep=table5"])
    assert code == 1 and "table5" in capsys.readouterr().err


def test_a_sweeps_thresholds_are_in_proportion_to_the_configs():
    sweep = train.load_sweeps(str(toy.CONFIG))["table8"]
    changes = sweep["runs"]["reliability_0.365_0.420"]
    assert train.in_proportion(changes, sweep, toy.load_config("")) == changes
    config = toy.load_config("small")
    found = train.in_proportion(changes, sweep, config)
    assert found["reliability.sound_threshold"] == pytest.approx(1.5 * 0.42 / 0.40)
    assert found["reliability.sight_threshold"] == pytest.approx(0.365)
    assert train.in_proportion({"seed": 1}, sweep, config) == {"seed": 1}


SLOW_COMPILE = """
import sys
from rac_jax.cli import train

train._start_logging(verbose=sys.argv[1] == "verbose")
import jax
import jax.numpy as jnp
import numpy as np

# XLA sorts a constant when it compiles, and complains when that takes more than a second.
rows = np.random.default_rng(0).random((130, 130), np.float32)
jax.jit(lambda: jnp.sort(jnp.asarray(rows))).lower().compile()
"""


@pytest.mark.parametrize("how", ["quiet", "verbose"])
def test_xlas_own_log_is_for_those_who_ask(how):
    words = [sys.executable, "-c", SLOW_COMPILE, how]
    # What is cached is not compiled.
    without = ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in without}
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env=environment
    )
    assert ("slow_operation_alarm" in done.stderr) == (how == "verbose")
    assert how == "verbose" or not done.stderr
