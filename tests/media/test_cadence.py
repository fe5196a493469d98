import numpy as np
import pytest

from rac_jax.media.cadence import RepeatedFrames

FRAMES = 60


def moving(frames=FRAMES, seed=0):
    """Grey frames [T, 24, 32] of a texture that drifts by a pixel per frame."""
    picture = np.random.default_rng(seed).integers(0, 255, (24, 200), np.uint8)
    return np.stack([picture[:, t : t + 32] for t in range(frames)])


def kept(frames, sizes=None):
    """Which frames are kept, by their times, fed in chunks of these sizes."""
    edges = np.cumsum(sizes)[:-1] if sizes else []
    filtered, times = RepeatedFrames(), np.arange(len(frames), dtype=float)
    found = [
        filtered.feed(*part)[1]
        for part in zip(np.split(frames, edges), np.split(times, edges), strict=True)
    ]
    return np.concatenate([*found, filtered.finish()[1]]).astype(int)


def noisy(frames):
    """As an encoder leaves them: no two frames are quite the same."""
    noise = np.random.default_rng(1).integers(-1, 2, frames.shape)
    return np.clip(frames.astype(int) + noise, 0, 255).astype(np.uint8)


def repeated_every(number, frames=FRAMES):
    return np.repeat(np.arange(frames), 1 + (np.arange(frames) % number == number - 1))


PULLDOWN = np.repeat(np.arange(FRAMES), 2 + np.arange(FRAMES) % 2)


@pytest.mark.parametrize(
    "places", [*(repeated_every(n) for n in range(2, 7)), PULLDOWN]
)
def test_every_picture_is_kept_once(places):
    found = kept(noisy(moving()[places]))
    # The last frame of all is kept even where it repeats one.
    assert places[found[:-1]].tolist() == list(range(FRAMES))[: len(found) - 1]
    assert len(found) in (FRAMES, FRAMES + 1)
    assert found[-1] == len(places) - 1


def test_motion_without_repeated_frames_is_left_alone():
    assert len(kept(noisy(moving()))) == FRAMES


@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_short_and_still_videos_are_left_alone(frames):
    still = np.full((frames, 24, 32), 7, np.uint8)
    if frames:
        assert kept(still).tolist() == list(range(frames))
    else:
        assert RepeatedFrames().finish() is None


def test_a_pause_is_kept():
    places = np.concatenate([np.arange(30), np.full(40, 29), np.arange(30, FRAMES)])
    inside = (kept(moving()[places]) > 30 + 8) & (kept(moving()[places]) < 70 - 8)
    assert inside.sum() == 23


def test_a_thing_that_turns_back_is_left_alone():
    """It rests for a frame every eleven, as the sample's does: no cadence of a container."""
    places = np.round(20 + 18 * np.sin(np.pi * np.arange(90) / 11)).astype(int)
    assert len(kept(moving()[places])) == 90


@pytest.mark.parametrize("sizes", [[1] * 160, [3, 120, 0, 37], [159, 1]])
def test_chunks_change_nothing(sizes):
    frames = noisy(moving(128)[repeated_every(4, 128)])
    assert sum(sizes) == len(frames)
    np.testing.assert_array_equal(kept(frames, sizes), kept(frames))


def test_a_copy_goes_on_by_itself():
    frames = noisy(moving()[repeated_every(3)])
    times = np.arange(len(frames), dtype=float)
    one = RepeatedFrames()
    one.feed(frames[:40], times[:40])
    twin = one.copy()
    one.feed(frames[:5], times[:5])
    found = [twin.feed(frames[40:], times[40:])[1], twin.finish()[1]]
    alone = RepeatedFrames()
    alone.feed(frames[:40], times[:40])
    known = [alone.feed(frames[40:], times[40:])[1], alone.finish()[1]]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(known))
