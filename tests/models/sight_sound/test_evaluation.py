"""Training counts videos as the counter does, and judges them as it should."""

import types

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting.rate import Rate
from rac_jax.counting.result import CountResult, Stream
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import epoch_records, evaluation, recipe
from rac_jax.models.sight_sound.network import SightOutput, SoundOutput
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.models.sight_sound.sound_task import SoundTask
from rac_jax.models.sight_sound.stride_task import StrideTask
from rac_jax.ops.sound_format import RATE
from rac_jax.train import stage_files
from tests.train import toy


class Videos(list):
    """Labelled videos as a source."""

    def name(self, index: int) -> str:
        return self[index].video_id


def video(name: str, count: float, sound: bool = True, frames: int = 128):
    heard = {"waveform": np.ones(100, np.float32), "audio_rate": RATE} if sound else {}
    pixels = np.zeros((frames, 8, 8, 3), np.uint8)
    return LabelledVideo(name, pixels, 25.0, count=count, **heard)


# What a model says of two videos: one with sound, one without.
FACTS = {
    "loud": {
        "stride": 2,
        "counts": [6.0, 4.0],
        "scores": [0.0, 1.0],
        "solo": [2.0, 1.0],
        "sound": 8.0,
        "reliability": 0.25,
        "fused": 5.0,
    },
    "mute": {
        "stride": 1,
        "counts": [3.0, 9.0],
        "scores": [2.0, 1.0],
        "solo": [2.0, 1.0],
        "sound": None,
        "reliability": None,
        "fused": 3.0,
    },
}


class FakeCounter:
    """Knows what to say, and remembers what it was asked."""

    def __init__(self, with_solo: bool = True):
        self.asked, self._with_solo = [], with_solo

    def count(self, frames, *, fps, waveform, audio_rate, **options):
        assert fps == 25.0 and (waveform is None) == (audio_rate is None)
        self.asked.append(options)
        known = FACTS["mute" if waveform is None else "loud"]
        look, listen = options.get("sight", True), options.get("sound", True)
        strides = [options["stride"]] if "stride" in options else [1, 2]
        stride = strides[0] if len(strides) == 1 else known["stride"]
        counts = {str(one): known["counts"][one - 1] for one in strides}
        streams, count = [], 0.0
        if look:
            count = counts[str(stride)]
            streams.append(Stream("sight", count))
        if listen and known["sound"] is not None:
            streams.append(Stream("sound", known["sound"]))
            count = known["fused"] if look else known["sound"]
        many = look and len(strides) > 1
        scores = dict(zip("12", known["scores"], strict=True))
        solo = dict(zip("12", known["solo"], strict=True))
        return CountResult(
            file="<array>",
            start_s=0.0,
            duration_s=1.0,
            count=count,
            rate=Rate.constant(0.0, 1.0, count),
            streams=tuple(streams),
            model="fake",
            family="sight_sound",
            seconds=0.0,
            details={
                "stride": stride if look else None,
                "stride_counts": counts if look else {},
                "stride_scores": scores if many else {},
                "solo_stride_scores": solo if many and self._with_solo else {},
                "reliability": known["reliability"] if look and listen else None,
            },
        )


def fake_run(tmp_path, with_solo: bool = True):
    """A run of two videos, counted by a stand-in."""
    config = toy.load_config("small")
    config.stride.strides, config.counting.max_stride = (1, 2), 2
    videos = Videos([video("loud", 4.0), video("mute", 3.0, sound=False)])
    counter = FakeCounter(with_solo)
    run = toy.make_run(config, tmp_path)
    run.sources = dict.fromkeys(("train", "val", "test"), videos)
    run.network = types.SimpleNamespace(use_sight_only_ranker=with_solo)
    run.counter, run.asked = lambda variables: counter, counter.asked
    return run


def test_every_estimator(tmp_path):
    counts = evaluation.audiovisual_counts(fake_run(tmp_path), {}, "test")
    found = evaluation.estimators(counts)
    np.testing.assert_allclose(found["stride_1"], [6.0, 3.0])
    np.testing.assert_allclose(found["stride_2"], [4.0, 9.0])
    np.testing.assert_allclose(found["sight"], [6.0, 3.0])
    # Without sound the sight-only ranker decides, and sight counts alone.
    np.testing.assert_allclose(found["sight_ranker"], [4.0, 3.0])
    np.testing.assert_allclose(found["sound"], [8.0, 0.0])
    np.testing.assert_allclose(found["average"], [6.0, 3.0])
    np.testing.assert_allclose(found["fused"], [4 * 0.75 + 8 * 0.25, 3.0])  # Eq. 10
    np.testing.assert_allclose(counts.stride, [2, 1])
    np.testing.assert_allclose(counts.reliability, [0.25, 0.0])


def test_without_a_sight_only_ranker_sight_is_at_the_ranker_s_stride(tmp_path):
    run = fake_run(tmp_path, with_solo=False)
    found = evaluation.estimators(evaluation.audiovisual_counts(run, {}, "test"))
    np.testing.assert_allclose(found["sight"], found["sight_ranker"])


def test_sight_is_validated_at_each_video_s_own_stride(tmp_path):
    run = fake_run(tmp_path)
    # 128 frames: 4 repetitions have stride 1, 3 need stride 2.
    scores = SightTask(run).validate({"params": {}, "batch_stats": {}}, 1)
    assert run.asked[:2] == [
        {"stride": 1, "sound": False},
        {"stride": 2, "sound": False},
    ]
    assert scores["mae"] == pytest.approx((2 / 4 + 6 / 3) / 2) == scores["error"]


def test_epochs_that_are_good_or_last_are_recorded(tmp_path):
    run, variables = fake_run(tmp_path), {"params": {}, "batch_stats": {}}
    settings = run.config.sight
    for epoch, threshold in ((1, 1.0), (2, 2.0), (settings.epochs, 1.0)):
        settings.record_under = threshold
        SightTask(run).validate(variables, epoch)
    found = epoch_records.read_epochs(tmp_path / "sight")
    assert [one["epoch"] for one in found] == [1, 2, settings.epochs]
    assert [one["error"] for one in found] == pytest.approx([1.25] * 3)
    predicted = {"loud": 6.0, "mute": 9.0}
    assert [one["predictions"] for one in found] == [None, predicted, predicted]


def test_between_epochs_a_share_of_the_training_videos_is_counted(tmp_path):
    run, variables = fake_run(tmp_path), {"params": {}, "batch_stats": {}}
    settings = run.config.sight
    settings.epochs, settings.record_under, settings.record_share = 9, 10.0, 0.5
    for epoch in range(1, 10):
        SightTask(run).validate(variables, epoch)
    *early, last = epoch_records.read_epochs(tmp_path / "sight")
    everything = {"loud": 6.0, "mute": 9.0}
    assert last["predictions"] == everything
    seen = [one["predictions"] for one in early]
    assert all(len(one) == 1 and one.items() <= everything.items() for one in seen)
    # Not the same one each time.
    assert len({*map(min, seen)}) == 2


def test_sight_leaves_counts_at_every_stride(tmp_path):
    run = fake_run(tmp_path)
    assert SightTask(run).record({}) == {
        "strides": [1, 2],
        "videos": {"loud": [6.0, 4.0], "mute": [3.0, 9.0]},
    }
    assert run.asked == [{"sound": False, "max_stride": 2}] * 2


def test_sight_may_have_videos_of_its_own(tmp_path):
    """As on Countix where the rest learns from Countix-AV (section 4.3)."""
    run = fake_run(tmp_path)
    run.config.sight.examples = "videos"
    others = Videos([video("own", 3.0, sound=False, frames=64)])
    for split in ("sight_train", "sight_val"):
        run.config.data[split].kind = "csv"
        run.sources[split] = others
    task = SightTask(run)
    assert task.examples.split == "sight_train"
    assert SoundTask(run).examples.split == "train"
    # Validated on its own videos, the others' training videos are recorded.
    run.config.sight.record_under = 10.0
    scores = task.validate({"params": {}, "batch_stats": {}}, 1)
    assert scores["error"] == pytest.approx(0.0)
    (epoch,) = epoch_records.read_epochs(tmp_path / "sight")
    assert sorted(epoch["predictions"]) == ["loud", "mute"]
    assert task.record({}) == {
        "strides": [1, 2],
        "videos": {"loud": [6.0, 4.0], "mute": [3.0, 9.0]},
        "own_videos": {"own": [3.0, 9.0]},
    }
    # The sight-only ranker by itself learns from sight's videos, the other one does not.
    stage_files.write_json(tmp_path / "sight" / "predictions.json", task.record({}))
    alone = recipe.make_sight_stride_task(run, {})
    assert alone.examples.split == "sight_train" and alone.judged == "sight_val"
    assert alone.positive == {"own": 0}
    both = recipe.make_stride_task(run, {})
    assert both.examples.split == "train" and both.judged == "val"
    assert sorted(both.positive) == ["loud", "mute"]


def test_the_released_procedure_is_asked_for_each_stride(tmp_path):
    run = fake_run(tmp_path)
    run.config.counting.protocol = "released"
    found = evaluation.sight_counts_by_stride(run, {}, "train")
    np.testing.assert_array_equal(found, [[6.0, 4.0], [3.0, 9.0]])
    asked = [{"stride": stride, "sound": False} for stride in (1, 2)]
    assert run.asked == asked * 2
    # The sight-only ranker, which it does not have, is asked by the paper's.
    evaluation.solo_counts(run, {}, "val")
    assert run.asked[4:] == [{"protocol": "paper", "sound": False}] * 2


def test_models_of_the_released_procedure_are_chosen_by_rounded_counts(tmp_path):
    run = fake_run(tmp_path)
    counts = np.array([4.4, 3.0])
    assert evaluation.validation_scores(run, counts, "val")["error"] == pytest.approx(
        0.05
    )
    run.config.counting.protocol = "released"
    assert evaluation.validation_scores(run, counts, "val")["error"] == 0.0


def test_strides_beyond_those_that_are_chosen_from_are_counted_where_asked(tmp_path):
    run = fake_run(tmp_path)
    run.config.stride.strides = (1, 2, 3)
    counts = evaluation.audiovisual_counts(run, {}, "val")
    assert np.isnan(counts.by_stride[:, 2]).all()
    np.testing.assert_array_equal(counts.by_stride[:, :2], [[6.0, 4.0], [3.0, 9.0]])


def test_sound_is_validated_alone_and_leaves_its_last_counts(tmp_path):
    run = fake_run(tmp_path)
    task = SoundTask(run)
    scores = task.validate(
        {"params": {"local": {}}, "batch_stats": {}}, run.config.sound.epochs
    )
    # A video without sound is not counted by it.
    assert run.asked == [{"sight": False}] * 2
    assert scores["mae"] == pytest.approx((4 / 4 + 3 / 3) / 2)
    assert task.record({}) == {"videos": {"loud": 8.0, "mute": 0.0}}
    assert len(run.asked) == 2
    # The kept epoch may be another one than the last: its model is asked.
    run.config.sound.keep_best = True
    assert task.record({}) == {"videos": {"loud": 8.0, "mute": 0.0}}
    assert len(run.asked) == 3


def test_a_threshold_that_no_epoch_reaches_is_told_when_the_stage_is_over(
    tmp_path, caplog
):
    run = fake_run(tmp_path)
    run.config.reliability.sight_threshold = 1.0
    SightTask(run).validate({"params": {}, "batch_stats": {}}, 1)
    SightTask(run).record({})
    (line,) = caplog.messages
    assert (
        "no epoch of sight has a validation error under 1 (the lowest: 1.250)" in line
    )
    assert "raise reliability.sight_threshold" in line
    caplog.clear()
    run.config.reliability.sight_threshold = 1.5
    SightTask(run).record({})
    assert not caplog.messages


def test_rankers_are_validated_by_the_counts_at_their_strides(tmp_path):
    run = fake_run(tmp_path)
    scores = StrideTask(run, {}, {}).validate({}, 1)
    assert scores["solo_ranker_mae"] == pytest.approx((2 / 4 + 0) / 2)
    assert scores["solo_ranker_mae_rounded"] == scores["solo_ranker_mae"]
    assert scores["ranker_mae"] == 0.0
    assert scores["error"] == pytest.approx(0.125)
    run.config.stride.rankers = ("ranker",)
    assert StrideTask(run, {}, {}).validate({}, 1) == {
        "ranker_mae": 0,
        "ranker_mae_rounded": 0,
        "error": 0,
    }


class Listener(nn.Module):
    """Counts loud bursts; of fewer than three in a segment it says too little."""

    use_sight_only_ranker: bool = True
    sight_classes: int = 1
    sound_classes: int = 1

    def sight(self, clips):
        nothing = jnp.zeros(len(clips))
        flat = jnp.zeros((len(clips), 1))
        return SightOutput(
            count=nothing + 2.0,
            counts=flat,
            classes=flat,
            features=flat,
            timeline=flat[..., None],
            rank_features=flat,
            solo_score=nothing,
        )

    def sound(self, spectrograms):
        loud = spectrograms.mean(axis=1) > 0.5  # [N, n]
        before = jnp.pad(loud[:, :-1], ((0, 0), (1, 0)))
        bursts = jnp.sum(loud & ~before, axis=1)
        flat = jnp.zeros((len(spectrograms), 1))
        return SoundOutput(
            count=jnp.where(bursts >= 3, bursts, 0.4 * bursts),
            counts=flat,
            classes=flat,
            features=flat,
            timeline=flat[..., None],
            rank_features=flat,
            reliability_features=flat,
        )

    def score(self, sight, sound):
        return jnp.zeros(len(sight.count))

    def reliability(self, sight, sound):
        return jnp.full(len(sight.count), 0.75)


def bursts(seconds: float, number: int) -> LabelledVideo:
    """A video with a second of noise in the middle of each of `number` equal parts."""
    times = np.arange(round(seconds * RATE)) / RATE
    period = seconds / number
    loud = np.abs(times % period - period / 2) < 0.5
    noise = np.random.default_rng(0).normal(0, 0.2, len(times))
    return LabelledVideo(
        f"{seconds:.0f} s",
        np.zeros((round(seconds * 5), 8, 8, 3), np.uint8),
        5.0,
        waveform=(noise * loud).astype(np.float32),
        audio_rate=RATE,
        count=float(number),
    )


@pytest.fixture
def listening(tmp_path):
    """A run whose network listens, with a slow video of 30 s and one of 60 s to validate on."""
    config = toy.load_config("small")
    config.data.size, config.stride.strides = 8, (1, 2)
    config.counting.max_stride = 1
    videos = Videos([bursts(30, 4), bursts(60, 6)])
    sources = {split: videos for split in ("train", "val", "test")}
    return toy.make_run(config, tmp_path, Listener(), sources)


NOTHING = {"params": {}, "batch_stats": {}}


def test_sound_is_squeezed_in_training_as_it_is_by_the_counter(listening):
    videos = listening.source("val")
    found = evaluation.sound_counts(listening, NOTHING, "val")
    counter = listening.counter(NOTHING)
    counted = [
        counter.count(None, waveform=one.waveform, audio_rate=RATE).count
        for one in videos
    ]
    np.testing.assert_array_equal(found, counted)
    # Four squeezes would give 0.4 of them: there are under three bursts in 14 s.
    np.testing.assert_allclose(found, [4.0, 6.0], rtol=1e-6)
    scores = SoundTask(listening).validate(NOTHING, 1)
    assert scores["mae"] == pytest.approx(0.0, abs=1e-6)


def test_training_counts_as_the_counter_does(listening):
    # It chooses from stride 1 alone; stride 2 is measured beside it.
    counts = evaluation.audiovisual_counts(listening, NOTHING, "val", every_stride=True)
    counter = listening.counter(NOTHING)
    for index, one in enumerate(listening.source("val")):
        result = counter.count(
            one.frames, fps=one.fps, waveform=one.waveform, audio_rate=one.audio_rate
        )
        assert counts.fused[index] == result.count
        assert counts.sound[index] == result.stream("sound").count
        stride = counts.stride[index]
        assert stride == result.details["stride"]
        assert counts.at(counts.stride)[index] == result.stream("sight").count
        assert counts.reliability[index] == 0.75
        for other in (1, 2):
            alone = counter.count(one.frames, fps=one.fps, stride=other, sound=False)
            assert counts.by_stride[index, other - 1] == alone.count
