"""The tasks' losses and choices against hand-computed values; the networks are stand-ins."""

import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import start
from rac_jax.models.sight_sound.heads import FUSION_HEAD
from rac_jax.models.sight_sound.reliability_task import ReliabilityTask
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.models.sight_sound.sound_task import SoundTask
from rac_jax.models.sight_sound.stride_task import StrideTask
from rac_jax.scenes import SceneConfig
from rac_jax.train.recipe import RenderedExamples, VideoExamples
from tests.train import toy


class Streams:
    """Answers with what the clips and spectrograms themselves say."""

    use_sight_only_ranker = True

    def apply(self, variables, *inputs, method, **options):
        return method(self, *inputs), {"batch_stats": variables["batch_stats"]}

    def sight(self, clips, train):
        return types.SimpleNamespace(solo_score=clips[:, 0], features=clips)

    def sound(self, spectrograms, train):
        return types.SimpleNamespace(features=spectrograms)

    def score(self, sight, sound):
        return sight.features[:, 1] + sound.features[:, 0]

    def reliability(self, sight, sound, train):
        return sound.features[:, 0]


@pytest.fixture
def config():
    return toy.load_config("")


def run_of(config):
    """A run of stand-in networks, which writes nothing."""
    return toy.make_run(config, pathlib.Path("nowhere"), Streams())


def test_equation_8_over_both_rankers(config):
    task = StrideTask(run_of(config), {}, {})
    batch = {
        # [pairs, (positive, negative), values]: solo score, the ranker's sight part
        "clip": jnp.asarray([[[5.0, 1.0], [4.0, 2.0]], [[0.0, 9.0], [7.0, 0.0]]]),
        "spectrogram": jnp.asarray([[[1.0], [3.0]], [[0.0], [0.0]]]),
        "mask": jnp.asarray([True, True]),
    }
    loss, (_, metrics) = task.loss({}, {}, batch, jax.random.key(0))
    # Margin 2.9. Solo: 4 - 5 + 2.9 = 1.9 and 7 - 0 + 2.9 = 9.9.
    # With sound: (2 + 3) - (1 + 1) + 2.9 = 5.9 and 0 - 9 + 2.9 < 0.
    assert float(metrics["solo_ranker_hinge"].value()) == pytest.approx((1.9 + 9.9) / 2)
    assert float(metrics["ranker_hinge"].value()) == pytest.approx(5.9 / 2)
    assert float(loss) == pytest.approx((1.9 + 9.9) / 2 + 5.9 / 2)
    assert float(metrics["solo_ranker_right"].value()) == 0.5
    masked = batch | {"mask": jnp.asarray([True, False])}
    assert float(task.loss({}, {}, masked, None)[0]) == pytest.approx(1.9 + 5.9)


def test_one_ranker_can_be_trained_alone(config):
    config.stride.rankers = ("solo_ranker",)
    task = StrideTask(run_of(config), {}, {})
    batch = {
        "clip": jnp.asarray([[[5.0, 1.0], [4.0, 2.0]]]),
        "spectrogram": jnp.asarray([[[1.0], [3.0]]]),
        "mask": jnp.asarray([True]),
    }
    loss, (_, metrics) = task.loss({}, {}, batch, None)
    assert float(loss) == pytest.approx(1.9) and "ranker_hinge" not in metrics
    assert task.trained == ("solo_ranker",)


def test_the_released_ranker_begins_with_the_trained_sight_only_one():
    config = toy.load_config("released")
    task = StrideTask(run_of(config), {}, {})
    variables = {
        kind: {
            "sight_encoder": {"stage4": 1},
            "sound_encoder": {"stage4": 2},
            "solo_ranker": {"sight": {"stage4": 3}, "score": 4},
            "ranker": {"sight": {"stage4": 5}, "sound": {"stage4": 6}, "score": 7},
        }
        for kind in ("params", "batch_stats")
    }
    ranker = {"sight": {"stage4": 3}, "sound": {"stage4": 2}, "score": 7}
    first = task.first(variables)
    assert first["params"]["ranker"] == ranker == first["batch_stats"]["ranker"]
    assert first["params"]["solo_ranker"] == variables["params"]["solo_ranker"]
    # Its last layer alone learns; the sight-only one is trained whole, before.
    assert task.trained == ("ranker/score",) and task.trained_groups == ()
    alone = StrideTask(run_of(config), {}, {}, name="sight_stride")
    assert alone.trained == alone.trained_groups == ("solo_ranker",)
    assert alone.first(variables)["params"]["ranker"]["sight"] == {"stage4": 5}
    assert alone.first(variables)["params"]["solo_ranker"]["sight"] == {"stage4": 1}


def test_released_sound_is_augmented_beside_clips():
    config = toy.load_config("released")
    batch = {
        "clip": jnp.zeros((1, 2, 4, 8, 8, 3), jnp.uint8),
        "real": jnp.ones((1, 2, 4), bool),
        "spectrogram": jnp.ones((1, 2, 257, 500)),
        "columns": jnp.full((1, 2), 500),
    }
    task = StrideTask(run_of(config), {}, {})
    found = np.asarray(task.prepare(batch, jax.random.key(0))["spectrogram"])
    assert found.shape == (1, 2, 257, 500)
    # A band of 9 rows is silent in each, and the rest has noise.
    silent = (found == 0).all(axis=-1)
    assert (silent.sum(axis=-1) == 9).all() and np.abs(found - 1).max() == 1
    assert 0.04 < np.abs(found[~silent] - 1).max() <= 0.05
    config.stride.augment_sound = False
    assert (task.prepare(batch, jax.random.key(0))["spectrogram"] == 1).all()


def test_equations_10_and_11(config):
    task = ReliabilityTask(run_of(config), {}, {}, {})
    batch = {
        "clip": jnp.zeros((2, 1)),
        "spectrogram": jnp.asarray([[0.25], [1.0]]),  # the weight of the sound, γ
        "sight": jnp.asarray([8.0, 3.0]),
        "sound": jnp.asarray([12.0, 5.0]),
        "count": jnp.asarray([10.0, 4.0]),
        "mask": jnp.asarray([True, True]),
    }
    loss, (_, metrics) = task.loss({}, {}, batch, jax.random.key(0))
    # 8 · 0.75 + 12 · 0.25 = 9 and 5: errors 0.1 and 0.25.
    assert float(loss) == pytest.approx((0.1 + 0.25) / 2)
    assert float(metrics["reliability"].value()) == pytest.approx(0.625)


def test_fully_connected_fusion_learns_the_clips_count(config):
    config.reliability.fusion = "fully_connected"
    config.loss.terms = ("squared",)
    task = ReliabilityTask(run_of(config), {}, {}, {})
    heads = {"counts": {"kernel": jnp.zeros((1, 3))}}
    stages = {"stage4": {}}
    variables = {
        "params": {
            "sight_head": heads,
            "sound_head": heads,
            "sound_encoder": stages,
            "reliability_head": {"sound": stages},
        },
        "batch_stats": {
            "sound_encoder": stages,
            "reliability_head": {"sound": stages},
        },
    }
    first = task.first(variables)["params"]
    assert task.trained == (FUSION_HEAD,) and task.trained_groups == ()
    kernel = first[FUSION_HEAD]["counts"]["kernel"]
    assert kernel.shape == (2, 41)
    batch = {
        "clip": jnp.zeros((2, 1)),
        "spectrogram": jnp.zeros((2, 1)),
        "clip_count": jnp.asarray([2.0, 4.0]),
        "mask": jnp.asarray([True, True]),
    }
    # Zero features and biases count nothing: the error is the count.
    loss, _ = task.loss(first, variables["batch_stats"], batch, jax.random.key(0))
    assert float(loss) == pytest.approx((4 + 16) / 2)


def test_copies_begin_as_the_encoders_stages():
    variables = {
        kind: {
            "sound_encoder": {"stage3": {"w": 1}, "stage4": {"w": 2}},
            "reliability_head": {"sound": {"stage4": {"w": 3}}, "score": {"w": 4}},
        }
        for kind in ("params", "batch_stats")
    }
    groups = {"reliability_head": {"sound": "sound_encoder"}}
    copied = start.copy_last_stages(variables, groups)
    expected = {"sound": {"stage4": {"w": 2}}, "score": {"w": 4}}
    assert copied["params"]["reliability_head"] == expected
    assert copied["batch_stats"]["reliability_head"] == expected
    assert variables["params"]["reliability_head"]["sound"] == {"stage4": {"w": 3}}


def test_class_biases_start_evenly_over_a_range_of_counts():
    variables = {"params": {"head": {"counts": {"bias": jnp.zeros(5)}}}}
    found = start.stream_start(variables, "head", 8.0, channels=3)["params"]
    np.testing.assert_allclose(found["head"]["counts"]["bias"], [0, 2, 4, 6, 8])
    assert found["local"]["kernel"].shape == (3, 1)
    plain = start.stream_start(variables, "head", 0.0, channels=None)["params"]
    assert not plain["head"]["counts"]["bias"].any() and "local" not in plain


def test_action_classes_need_a_unit_each(config):
    config.loss.diversity = "action_class"
    labels = [f"action {number}" for number in range(42)]
    start.check_classes(config.loss, "sight_classes", 41, labels[:41])
    with pytest.raises(ValueError, match="model.sight_classes: 41 repetition classes"):
        start.check_classes(config.loss, "sight_classes", 41, labels)
    with pytest.raises(ValueError, match="no video of data.train has one"):
        start.check_classes(config.loss, "sight_classes", 41, ())


def test_videos_with_cycles_know_their_period():
    cycles = np.array([[10.0, 20.0], [20.0, 40.0]], np.float32)
    frames = np.zeros((100, 2, 2, 3), np.uint8)
    video = LabelledVideo("v", frames, 25.0, count=2.0, cycles=cycles)
    assert video.period == 15.0


def test_examples_come_from_videos_or_are_rendered(config):
    run = run_of(config)
    for task in (SightTask, SoundTask):
        found = task(run, classes=("hop",)).examples
        assert isinstance(found, VideoExamples) and found.sampler.classes == ("hop",)
        assert isinstance(task(run, SceneConfig()).examples, RenderedExamples)
    sight = SightTask(run).examples.sampler
    assert (sight.size, sight.largest, sight.positive) == (112, 8, "two_repetitions")
    pairs = StrideTask(run, {"v": 1}, {"v": [0]}).examples.sampler
    assert (pairs.strides, pairs.positive) == (tuple(range(1, 9)), {"v": 1})
    clips = ReliabilityTask(run, {"v": 2}, {"v": 3.0}, {"v": 4.0}).examples.sampler
    assert (clips.strides, clips.sight, clips.sound) == (
        {"v": 2},
        {"v": 3.0},
        {"v": 4.0},
    )


def test_the_local_term_is_trained_where_it_is_weighed(config):
    config.sound.trained = ("sound_head",)
    run = run_of(config)
    assert SightTask(run).trained == ("sight_encoder", "sight_head")
    assert SoundTask(run).trained == ("sound_head",)
    config.loss.local = 5.0
    assert SightTask(run).trained == ("sight_encoder", "sight_head", "local")
    assert SoundTask(run).trained == ("sound_head", "local")
    assert SightTask.auxiliary == SoundTask.auxiliary == ("local",)
