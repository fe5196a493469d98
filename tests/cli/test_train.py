"""`rac train` from the command line: a whole run at toy size, and what can go wrong."""

import json
import shutil

import numpy as np
import pytest

from rac_jax import counting
from rac_jax.cli import train
from rac_jax.counting import weights
from tests.train import toy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    assert train.main(toy.arguments(folder)) == 0
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
    model, _, config = weights.load_model(trained / "export")
    assert model.sight_encoder == "r2plus1d18" and config["max_stride"] == 3
    assert config["training"]["seed"] == 0
    result = counting.load(trained / "export").count(clip)
    assert np.isfinite(result.count) and result.count >= 0


def test_the_measurement_has_every_way(trained):
    report = json.loads((trained / "evaluation.json").read_text())
    ways = ["sight", "sound", "sight_ranker", "average", "fused"]
    assert list(report["ways"]) == [*ways, "stride_1", "stride_2", "stride_3"]
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
    kept = (folder / "sight" / "variables.safetensors").stat().st_mtime_ns
    (folder / "evaluation.json").unlink()
    shutil.rmtree(folder / "reliability")
    assert train.main(toy.arguments(folder)) == 0
    assert (folder / "sight" / "variables.safetensors").stat().st_mtime_ns == kept
    one, two = (
        json.loads((where / "evaluation.json").read_text())
        for where in (trained, folder)
    )
    assert one == two
    assert str(folder / "export") in capsys.readouterr().out


def test_other_test_videos_are_measured_without_training(trained, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(trained, folder, symlinks=True)
    kept = (folder / "reliability" / "finished.json").read_bytes()
    assert train.main(toy.arguments(folder, data__test__number=2)) == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert len(report["videos"]) == 2
    assert (folder / "reliability" / "finished.json").read_bytes() == kept


def test_another_config_in_the_same_workdir_is_refused(trained, capsys):
    assert train.main(toy.arguments(trained, sight__epochs=3)) == 1
    error = capsys.readouterr().err
    assert "finished.json: was made with sight.epochs = 2, this run has 3" in error
    # What only says how often something is shown may change.
    assert train.main(toy.arguments(trained, sight__log_steps=7)) == 0


def test_a_damaged_stage_file_is_named(trained, tmp_path, capsys):
    folder = tmp_path / "damaged"
    shutil.copytree(trained, folder, symlinks=True)
    shutil.rmtree(folder / "stride")
    (folder / "sight" / "predictions.json").write_text("{}")
    assert train.main(toy.arguments(folder)) == 1
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
    assert train.main(toy.arguments(tmp_path / "run", **changes)) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()  # before anything is begun


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
    code = train.main([*toy.arguments(tmp_path / "w"), "--sweep=table5"])
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
