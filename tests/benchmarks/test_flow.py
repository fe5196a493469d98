"""The benchmark of flow measures what it says."""

import numpy as np
import pytest

from benchmarks import flow


def clip():
    """Eight pixels a frame; one moves faster and faster, and one is hidden at first."""
    moves = np.zeros((3, 2, 4, 2), np.float32)
    moves[:, 0, 0, 0] = [1, 2, 4]
    hidden = np.zeros((3, 2, 4), bool)
    hidden[0, 1, 3] = True
    return flow.Clip(np.zeros((4, 2, 4, 3), np.uint8), moves, hidden)


def test_means_are_over_all_pixels_of_all_clips():
    truth = clip()
    means, spent = flow.measure(lambda frames: truth.flow, [truth, truth])
    assert set(means.values()) == {0} and spent > 0
    still = flow.find_methods([])["no motion"]
    means, _ = flow.measure(still, [truth, truth])
    wanted = {"epe": 7 / 23, "moving": 7 / 3, "hidden": 0.0, "inflection": 1.5}
    assert means == pytest.approx(wanted)


@pytest.mark.parametrize("make", [flow.farneback, flow.dis])
def test_opencv_finds_a_shift(make):
    pytest.importorskip("cv2", reason='needs OpenCV: pip install "rac_jax[flow]"')
    wave = np.random.default_rng(0).normal(size=(12, 12)).repeat(8, 0).repeat(8, 1)
    wave = sum(np.roll(wave, n, (0, 1)) for n in range(8)) * 20 + 128
    frames = np.stack([wave, np.roll(wave, 2, 1)]).clip(0, 255).astype(np.uint8)
    found = flow.by_opencv(make)(np.repeat(frames[..., None], 3, -1))
    assert found.shape == (1, 96, 96, 2)
    middle = found[0, 20:-20, 20:-20].mean((0, 1))
    np.testing.assert_allclose(middle, [2, 0], atol=0.3)
