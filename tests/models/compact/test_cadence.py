"""Laws of the shipped model: what containers and encoders do to frames changes no count."""

import functools

import jax
import numpy as np
import pytest

import rac_jax
from benchmarks import cadence
from rac_jax.scenes import SceneConfig, render_scene

FRAMES = 160
FPS = 25.0
SCENES = {
    "repeating": SceneConfig(
        frames=FRAMES, height=96, width=128, period=(12, 40), max_cycles=32, still=0.0
    ),
    "moving camera": SceneConfig(
        frames=FRAMES, height=96, width=128, still=1.0, max_cycles=8, camera=1.0
    ),
}


@functools.cache
def counter():
    return rac_jax.load()


@functools.cache
def scene(kind: str, seed: int) -> np.ndarray:
    render = jax.jit(lambda key: render_scene(key, SCENES[kind]).frames)
    return np.asarray(render(jax.random.key(seed)))


def repeated(every: int) -> np.ndarray:
    """Numbers of frames: every so many-th is shown twice."""
    shown = np.where((np.arange(FRAMES) + 1) % every == 0, 2, 1)
    return np.repeat(np.arange(FRAMES), shown)


def pulled_down() -> np.ndarray:
    """3:2 pulldown: frames are shown twice and three times by turns."""
    return np.repeat(np.arange(FRAMES), np.resize([2, 3], FRAMES))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCENES)
@pytest.mark.parametrize("seed", [10, 11, 13, 14])
def test_repeated_frames_change_no_count(kind, seed):
    frames = scene(kind, seed)
    plain = counter().count(frames, fps=FPS).count
    for numbers in (*map(repeated, range(2, 7)), pulled_down()):
        fps = FPS * len(numbers) / FRAMES
        found = counter().count(frames[numbers], fps=fps).count
        assert found == pytest.approx(plain, abs=0.3)
        assert kind == "repeating" or found == 0


@functools.cache
def cadence_scenes(name: str) -> list[np.ndarray]:
    return cadence.render(getattr(cadence, name), 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", ["every 4, H.264", "H.264 crf 32, 2 B", "H.264 crf 38, 3 B", "VP9"]
)
def test_pulses_of_an_encoder_are_no_repetitions(damage):
    """A moving camera counts 0 after it was encoded, if it did before."""
    encode, ratio = cadence.DAMAGES[damage]
    still = [
        frames
        for frames in cadence_scenes("CAMERA")
        if cadence.count(counter(), frames) == 0
    ]
    assert len(still) >= 4
    for frames in still:
        assert cadence.count(counter(), encode(frames), ratio) == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["H.264 crf 32, 2 B", "VP9"])
def test_encoding_changes_no_count(damage):
    encode, ratio = cadence.DAMAGES[damage]
    for frames in cadence_scenes("REPEATING"):
        plain = cadence.count(counter(), frames)
        found = cadence.count(counter(), encode(frames), ratio)
        assert found == pytest.approx(plain, abs=0.3)
