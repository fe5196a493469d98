"""The recipe's settings, what its stages leave one another, and its measurement."""

import types

import jax
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo, VideoSummary
from rac_jax.models.sight_sound import epoch_records, evaluation, recipe
from rac_jax.models.sight_sound.recipe import RECIPE
from rac_jax.models.sight_sound.reliability_task import pushed
from rac_jax.train import stage_files
from tests.conftest import knocks, moving_square
from tests.train import toy


def summary(name: str, count: float, period: float) -> VideoSummary:
    return VideoSummary(name, 320, 25.0, 0, 0, count, period, "hop", (), {})


VIDEOS = [
    summary("fast", 16.0, 20.0),
    summary("slow", 8.0, 40.0),
    summary("still", 0.0, float("inf")),
]


@pytest.fixture
def run(tmp_path):
    """A run whose first two stages have left their predictions."""
    config = toy.load_config("small")
    config.stride.strides, config.counting.max_stride = (1, 2, 3), 3
    sight = {"fast": [10.0, 9.0, 5.0], "slow": [4.0, 8.0, 7.0], "still": [1.0, 2, 3]}
    record = {"strides": [1, 2, 3], "videos": sight}
    stage_files.write_json(tmp_path / "sight" / stage_files.PREDICTIONS, record)
    for stream, shift in (("sight", 0.0), ("sound", 100.0)):
        for epoch, error in ((1, 9.0), (2, 0.4), (3, 0.2)):
            predicted = {v.video_id: shift + epoch for v in VIDEOS}
            folder = tmp_path / stream
            epoch_records.write_epoch(folder, epoch, error, predicted)
    config.reliability.update({"sight_threshold": 0.5, "sound_threshold": 0.3})
    return types.SimpleNamespace(
        config=config, workdir=tmp_path, videos=lambda split: VIDEOS
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss.diversity", "x", "loss.diversity: 'x' is not one of"),
        ("stride.strides", (2, 1), "stride.strides: .* do not rise"),
        ("stride.rankers", (), "stride.rankers: 'none' is not one of"),
        ("stride.pairs", "x", "stride.pairs: 'x' is not one of paper, released"),
        ("counting.protocol", "x", "counting.protocol: 'x' is not one of paper, rel"),
        ("counting.max_stride", 0, "counting.max_stride: must be from 1 to 32, not 0"),
        ("reliability.push", -1.0, "reliability.push: -1.0 is below 0"),
        ("stride.positive", "x", "stride.positive: 'x' is not one of"),
        ("model.use_sight_only_ranker", False, "so there is no 'solo_ranker'"),
        ("reliability.fusion", "gamma", "reliability.fusion: 'gamma' is not one of"),
        ("data.audio_rate", 16000, "data.audio_rate: 16000 is not 22050"),
        ("data.interpolation", "x", "data.interpolation: 'x' is not one of area, bil"),
        ("data.sight_val.kind", "x", "data.sight_val.kind: 'x' is not one of"),
        (
            "data.sight_train.kind",
            "csv",
            "data.sight_train.path: is empty, a csv needs",
        ),
        ("data.val.kind", "x", "data.val.kind: 'x' is not one of"),
        ("sight.examples", "x", "sight.examples: 'x' is not one of videos, device"),
        ("sound.epoch_steps", 0, "sound.epoch_steps: rendered clips have no epoch"),
        ("sound.squeeze", "x", "sound.squeeze: 'x' is not one of two_repetitions,"),
        ("sound.squeeze", "released", "'released' is for videos, sound.examples is"),
        (
            "sound.record_under",
            0.5,
            r"sound.record_under: 0.5 is below reliability.sound_threshold \(1.5\)",
        ),
        ("sight.record_share", 0.0, "sight.record_share: 0.0 is not above 0 and at"),
        ("sound.windows", 3, "sound.windows: 3 does not divide the batch of 16"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = toy.load_config("small")
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(toy.make_run(config, tmp_path))


def test_it_is_said_where_encoders_of_video_start_from_scratch(tmp_path, caplog):
    config = toy.load_config("small")
    recipe.check(toy.make_run(config, tmp_path))
    assert not caplog.messages
    config.sight.examples = config.sound.examples = "videos"
    config.start.sound_encoder = "heard"
    recipe.check(toy.make_run(config, tmp_path))
    (line,) = caplog.messages
    assert line.startswith(
        "sight starts from random weights, the authors' from Kinetics"
    )
    assert line.endswith("--config.start.sight_encoder=MODEL")


def test_roles_come_from_what_the_sight_stage_left(run):
    task = recipe.make_stride_task(run, {})
    assert task.positive == {"fast": 0, "slow": 1, "still": 2}
    found = {name: list(row) for name, row in task.negatives.items()}
    # (10-9)/10, (10-5)/10; too short; and nothing is learned where nothing repeats.
    assert found == {"fast": [2], "slow": [0], "still": []}


def test_strides_of_the_ranker_may_be_some_of_those_that_are_counted(run):
    run.config.stride.strides = (1, 3)
    task = recipe.make_stride_task(run, {})
    assert task.positive == {"fast": 0, "slow": 1, "still": 1}
    assert evaluation.counted_strides(run) == (1, 2, 3)


def test_reliability_learns_from_epochs_under_their_thresholds(run):
    run.config.reliability.stride = "positive"
    task = recipe.make_reliability_task(run, {})
    assert task.sight == dict.fromkeys(["fast", "slow", "still"], 2.5)
    assert task.sound == dict.fromkeys(["fast", "slow", "still"], 103.0)
    assert task.strides == {"fast": 1, "slow": 2, "still": 3}
    record = task.record({})
    assert record["epochs"] == {"sight": [2, 3], "sound": [3]}
    assert record["strides"] == task.strides
    assert record["videos"] == {"sight": task.sight, "sound": task.sound}


def test_reliability_may_learn_from_the_models_that_were_left(run):
    heard = {video.video_id: 42.0 for video in VIDEOS}
    path = run.workdir / "sound" / stage_files.PREDICTIONS
    stage_files.write_json(path, {"videos": heard})
    run.config.reliability.update({"stride": "positive", "predictions": "final"})
    task = recipe.make_reliability_task(run, {})
    # Sight at each video's own stride: 1, 2 and, where nothing repeats, 3.
    assert task.sight == {"fast": 10.0, "slow": 8.0, "still": 3.0}
    assert task.sound == heard


def test_reliability_may_learn_at_the_ranker_s_strides(run, monkeypatch):
    run.config.reliability.stride = "ranker"

    def counts(given, variables, split):
        assert (given, variables, split) == (run, {}, "train")
        return types.SimpleNamespace(stride=np.array([2, 1, 1]))

    monkeypatch.setattr(evaluation, "audiovisual_counts", counts)
    task = recipe.make_reliability_task(run, {})
    assert task.strides == {"fast": 2, "slow": 1, "still": 1}
    # By as much as the final counts differ: 9 - 10, 4 - 8 (no less than 0), 1 - 3.
    expected = {"fast": 2.5 - 1, "slow": 0.0, "still": 0.5}
    assert task.sight == pytest.approx(expected)


def test_the_model_in_training_counts_as_the_exported_one(tmp_path):
    config = toy.load_config("small")
    run = toy.make_run(config, tmp_path)
    known = recipe.model_config(run)
    assert (known["family"], known["protocol"]) == ("sight_sound", "paper")
    assert known["max_stride"] == 5 and known["preprocessing"]["size"] == 40
    assert known["preprocessing"]["audio_rate"] == 22050
    measured = {"estimators": {"fused": {"n": 1}}, "challenges": {}, "videos": []}
    exported = recipe.describe(run, measured)
    accuracy = exported.pop("accuracy")
    assert exported == known
    assert accuracy == {
        "data": "test videos of the config (scenes)",
        "estimators": {"fused": {"n": 1}},
        "challenges": {},
    }
    config.reliability.fusion = "fully_connected"
    assert recipe.describe(run, measured) is None


def test_the_papers_model_chooses_from_fewer_strides_than_its_ranker_learns(tmp_path):
    run = toy.make_run(toy.load_config(""), tmp_path)
    assert recipe.model_config(run)["max_stride"] == 5
    assert evaluation.counted_strides(run) == tuple(range(1, 9))


def test_the_released_variant_exports_its_procedure(tmp_path):
    run = toy.make_run(toy.load_config("released"), tmp_path)
    known = recipe.model_config(run)
    assert (known["protocol"], known["max_stride"]) == ("released", 5)
    names = [stage.name for stage in run.stages]
    assert names == ["sight", "sound", "sight_stride", "stride", "reliability"]
    paper = toy.make_run(toy.load_config(""), tmp_path)
    assert [stage.name for stage in paper.stages] == [n for n in names if "_" not in n]


def test_the_worse_prediction_is_pushed_further_off():
    given = {
        "sight": {"a": 12.0, "b": 3.0, "c": 1.0},
        "sound": {"a": 9.0, "b": 5.0, "c": 0.0},
    }
    found = pushed(given, {"a": 10.0, "b": 4.0, "c": 2.0}, 0.5)
    # Off by 2 and 1; by 1 both; by 1 and 2, and no count is below 0.
    assert found["sight"] == {"a": 13.0, "b": 3.0, "c": 1.0}
    assert found["sound"] == {"a": 9.0, "b": 5.0, "c": 0.0}
    assert given["sight"]["a"] == 12.0


def test_every_group_of_the_network_is_left_by_one_stage():
    from rac_jax.models.sight_sound.network import GROUPS

    left = [name for stage in RECIPE.stages for name in stage.leaves]
    # The sight-only ranker has a stage of its own in the authors' scripts.
    assert sorted(left) == sorted([*GROUPS, "fusion_head", "solo_ranker"])


class Moving:
    """Two videos of something that moves: one is heard, the other is silent."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> LabelledVideo:
        if index > 1:
            raise IndexError(index)
        heard = {"waveform": knocks(6.0), "audio_rate": 22050} if index == 0 else {}
        frames = moving_square(150, 32, 32)
        return LabelledVideo(f"v{index}", frames, 25.0, count=12.0, **heard)

    def name(self, index: int) -> str:
        return f"v{index}"


def test_videos_are_measured_as_they_are_counted(tmp_path):
    run = toy.make_run(toy.toy_config(), tmp_path, videos={"test": Moving()})
    variables = run.family.initialise(run.network, jax.random.key(3))
    found = recipe.evaluate(run, variables)
    counter = run.counter(variables)
    for row, video in zip(found["videos"], Moving(), strict=True):
        result = counter.count(
            video.frames,
            fps=video.fps,
            waveform=video.waveform,
            audio_rate=video.audio_rate or None,
        )
        assert row["video_id"] == video.video_id and row["count"] == video.count
        assert row["fused"] == pytest.approx(result.count, abs=1e-4)
        assert row["stride"] == result.details["stride"]
        sight = result.stream("sight").count
        assert row["sight_ranker"] == pytest.approx(sight, abs=1e-4)
        at_stride = row[f"stride_{result.details['stride']}"]
        assert at_stride == row["sight_ranker"] > 0
    loud, mute = found["videos"]
    assert loud["reliability"] > 0
    assert mute["reliability"] == mute["sound"] == 0
    assert mute["fused"] == mute["average"] == mute["sight_ranker"]
    assert set(found["estimators"]) == {
        *("sight", "sound", "sight_ranker", "average", "fused"),
        *("stride_1", "stride_2", "stride_3"),
    }
