"""Posteriors of labelled videos: labels of their steps, and what is stored of them."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.compact import labelled_posteriors as posteriors
from rac_jax.scenes import SceneConfig
from rac_jax.train.scene_videos import SceneVideos
from tests.conftest import knocks, moving_square
from tests.models.compact.tiny_run import make_run, tiny_config

pytestmark = pytest.mark.usefixtures("quick_compiling")

SCENES = SceneConfig(frames=70, height=16, width=16, still=0.0, cut=0.5, pause=0.5)


def video(cycles, frames=70, **fields) -> LabelledVideo:
    return LabelledVideo(
        "made",
        moving_square(frames, 32, 32),
        25.0,
        knocks(frames / 25),
        22050,
        count=3.0,
        cycles=None if cycles is None else np.array(cycles, np.float32),
        **fields,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tiny_config(), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def counter(run):
    variables = run.family.initialise(run.network, jax.random.key(0))
    return run.counter(variables)


def test_labels_by_hand():
    made = video([[2.0, 10.0], [10.0, 18.0], [40.0, 48.0]], frames=50)
    log_period, periodic = posteriors.step_labels(made, np.arange(51.0))
    assert len(log_period) == len(periodic) == 13
    # Steps of frames 0-3, 4-7, ...: two of the first four frames lie in a cycle.
    want = [True] * 4 + [True] + [False] * 5 + [True, True] + [False]
    assert periodic.tolist() == want
    np.testing.assert_allclose(log_period[1:4], np.log(8.0), rtol=1e-5)
    np.testing.assert_allclose(log_period[0], np.log(16.0), rtol=1e-5)
    np.testing.assert_allclose(log_period[5:10], np.log(1e4), rtol=1e-5)


def test_labels_are_those_of_the_scene():
    """From the cycles of the record, as the scene's own curves have them."""
    source = SceneVideos([(1, SCENES)], seed=3)
    log_period, periodic = posteriors.step_labels(source[0], np.arange(71.0))
    (rate, inside), _ = source.scene(0, lambda scene: (scene.rate, scene.periodicity))
    rate = np.pad(rate, (0, 2), mode="edge").reshape(18, 4).mean(1)
    inside = np.pad(inside, (0, 2), mode="edge").reshape(18, 4)
    np.testing.assert_array_equal(periodic, inside.mean(1) >= 0.5)
    want = -np.log(np.maximum(rate, 1e-4))
    np.testing.assert_allclose(log_period, want, atol=1e-3)


def test_a_video_without_cycles_is_refused():
    with pytest.raises(ValueError, match="made: has no cycles"):
        posteriors.step_labels(video(None), np.arange(71.0))


def test_gathering_fills_up_to_the_longest(counter):
    cycles = [[0.0, 12.0], [12.0, 24.0]]
    videos = [
        video(cycles),
        video(cycles, frames=30, challenges=("music sound",)),
        dataclasses.replace(video(cycles, frames=50), waveform=None, audio_rate=0),
        # Half of these frames are looked at. So clean a motion that turned every 2 to 7 of
        # them would be taken for repeated frames.
        dataclasses.replace(
            video([[0.0, 36.0], [36.0, 72.0]], frames=80),
            frames=moving_square(80, 32, 32, period=36.0),
            fps=60.0,
        ),
    ]
    known = posteriors.gather(counter, videos, "train")
    assert known.frames.tolist() == [70, 30, 50, 40]
    assert known.real.sum(1).tolist() == [18, 8, 13, 10]
    assert known.heard.tolist() == [True, True, False, True]
    assert known.helpful.tolist() == [True, False, False, True]
    assert not known.sight[1, 8:].any() and known.sight[1, 7].any()
    assert not known.sound[2].any()
    # A period of 36 frames is one of 18 where every second frame is looked at.
    np.testing.assert_allclose(
        known.log_period[:, 2], np.log([12, 12, 12, 18]), rtol=1e-4
    )


def test_counts_are_the_counters(counter):
    """Short videos beside long ones: what they are filled up with does not count."""
    videos = [video([[0.0, 12.0]], frames=frames) for frames in (70, 30, 9)]
    known = posteriors.gather(counter, videos, "val")
    counts = posteriors.count_posteriors(counter.estimator, known)
    for index, one in enumerate(videos):
        result = counter.count(
            one.frames, fps=one.fps, waveform=one.waveform, audio_rate=one.audio_rate
        )
        assert counts["fused"][index] == pytest.approx(result.count, abs=1e-6)
        assert counts["found"][index] == (len(result.sets) > 0)
        average = (counts["sight"][index] + counts["sound"][index]) / 2
        assert counts["average"][index] == average
        reliability = result.details["reliability"]
        assert counts["reliability"][index] == pytest.approx(reliability, abs=1e-6)


def test_what_is_stored_is_read_again(run, counter, monkeypatch):
    first = posteriors.gathered(run, counter.variables, "val")
    path = run.workdir / "posteriors" / "val.safetensors"
    time = path.stat().st_mtime_ns
    again = posteriors.gathered(run, counter.variables, "val")
    assert path.stat().st_mtime_ns == time
    assert first.videos == again.videos and len(first.videos) == 3
    for name, values in first.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])

    # Other streams or other videos are gathered anew.
    calls = []
    monkeypatch.setattr(
        posteriors, "gather", lambda *given: calls.append(given) or first
    )
    changed = jax.tree.map(lambda leaf: leaf + 1, counter.variables)
    posteriors.gathered(run, changed, "val")
    run.config.data.val.seed = 99
    posteriors.gathered(run, changed, "val")
    assert len(calls) == 2


def test_drawn_batches_are_a_function_of_seed_and_step():
    names = ("sight", "sound", "log_period", "periodic", "real", "helpful")
    arrays = {name: np.arange(10) for name in names}
    known = posteriors.LabelledPosteriors(
        videos=(types.SimpleNamespace(),) * 10,
        frames=np.arange(10),
        heard=np.ones(10, bool),
        changes=np.zeros((10, 1, 1)),
        **arrays,
    )
    batch = known.draw(5, 4, 7)
    assert set(batch) == set(names)
    for name in names:
        np.testing.assert_array_equal(batch[name], known.draw(5, 4, 7)[name])
        np.testing.assert_array_equal(batch[name], batch["sight"])
    assert not np.array_equal(batch["sight"], known.draw(5, 4, 8)["sight"])
