"""Whether a picture returns: against brute force, and on pictures of which it is known."""

import numpy as np
import pytest

from benchmarks import cadence
from rac_jax.models.compact.returns import LAGS, MOST_RATIO, Changes, return_ratio

SIDE, FRAMES = 32, 120


def changes_of(frames):
    return Changes().feed(frames)


def texture(shift):
    """A picture [32, 32] that has moved by so many pixels."""
    x = np.arange(SIDE)[None] + shift
    y = np.arange(SIDE)[:, None]
    waves = np.sin(x / 5) + np.sin(x / 11 + y / 7) + np.sin(y / 3 + x / 17)
    return 128 + 30 * waves


def as_frames(pictures):
    return np.clip(np.rint(np.stack(pictures)), 0, 255).astype(np.uint8)


def test_changes_against_brute_force():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (40, 8, 12), np.uint8)
    found = changes_of(frames)
    assert found.shape == (40, LAGS) and found.dtype == np.float16
    for index in range(40):
        for lag in range(1, LAGS + 1):
            got = found[index, lag - 1]
            if lag > index:
                assert np.isnan(got)
                continue
            apart = frames[index].astype(int) - frames[index - lag]
            assert got == pytest.approx(np.abs(apart).mean(), rel=1e-3)


@pytest.mark.parametrize("cuts", [(1, 2, 30), (0, 25), (40,)])
def test_chunks_do_not_matter_and_a_copy_goes_on_by_itself(cuts):
    frames = np.random.default_rng(1).integers(0, 256, (40, 64, 64), np.uint8)
    changes, rows = Changes(), []
    for part in np.split(frames, cuts):
        twin = changes.copy()
        twin.feed(part[::-1])
        rows.append(changes.feed(part))
    np.testing.assert_array_equal(np.concatenate(rows), changes_of(frames))


@pytest.mark.parametrize("period", [3.0, 5.5, 12.0])
@pytest.mark.parametrize("camera", [0.0, 0.3])
def test_a_thing_that_comes_back_returns(period, camera):
    """Also with a camera that moves on below it."""
    pictures = []
    for t in range(FRAMES):
        picture = texture(camera * t)
        place = 12 + 8 * np.sin(2 * np.pi * t / period)
        picture[10:20] += 90 * np.exp(-np.square(np.arange(SIDE) - place) / 8)
        pictures.append(picture)
    found = return_ratio(changes_of(as_frames(pictures)), np.full(FRAMES, 1 / period))
    assert found < MOST_RATIO - 0.03


@pytest.mark.parametrize("between", [2, 3])
def test_a_camera_whose_picture_pulses_does_not(between):
    """A moving camera, encoded with B-frames of low quality between others."""
    period = between + 1
    grey = (
        as_frames([texture(0.8 * t) for t in range(FRAMES)]).repeat(3, 1).repeat(3, 2)
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 6, (FRAMES, 1, 1)) + rng.normal(0, 6, grey.shape[1:])
    grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    pictures = np.repeat(grey[..., None], 3, axis=-1)
    frames = cadence.h264(38, between)(pictures)[..., 0]
    changes = changes_of(frames)
    assert return_ratio(changes, np.full(FRAMES, 1 / period)) > MOST_RATIO


def test_what_cannot_be_judged():
    frames = as_frames([texture(t) for t in range(FRAMES)])
    changes = changes_of(frames)
    # Too slow, too few periods, too fast, and nothing that moves.
    assert return_ratio(changes, np.full(FRAMES, 1 / 30)) is None
    assert return_ratio(changes[:20], np.full(20, 1 / 10)) is None
    assert return_ratio(changes, np.full(FRAMES, 0.9)) is None
    still = changes_of(np.zeros((FRAMES, SIDE, SIDE), np.uint8))
    assert return_ratio(still, np.full(FRAMES, 1 / 5)) is None
