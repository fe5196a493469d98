"""The baselines on what they can count, and on what nobody can."""

import numpy as np
import pytest

import rac_jax
from rac_jax.media import MediaError, encode
from rac_jax.models.baselines import estimator as baselines


@pytest.fixture(scope="module")
def swinging(tmp_path_factory):
    """A bright bar that swings 8 times in 8 seconds; then a file in which nothing moves."""
    folder = tmp_path_factory.mktemp("swinging")
    frames = np.full((200, 48, 64, 3), 40, np.uint8)
    for t, frame in enumerate(frames):
        x = round(
            26
            + 20 * np.sin(2 * np.pi * t / 25) * (1 + 0.3 * np.sin(2 * np.pi * t / 25))
        )
        frame[10:40, x : x + 10] = 220
    encode.write_video(folder / "swing.mp4", frames, 25.0, None, 22050)
    still = np.full((50, 48, 64, 3), 90, np.uint8)
    encode.write_video(folder / "still.mp4", still, 25.0, None, 22050)
    return folder


def test_self_similarity_counts_a_swing(swinging):
    result = rac_jax.load("self-similarity").count(swinging / "swing.mp4")
    assert result.count == pytest.approx(8, rel=0.05)
    assert result.model == "self-similarity" and result.stream("sound") is None


def test_frame_differences_count_a_swing_or_its_halves(swinging):
    result = rac_jax.load("frame-differences").count(swinging / "swing.mp4")
    assert min(abs(result.count - 8), abs(result.count - 16)) < 1


@pytest.mark.parametrize("name", ("frame-differences", "self-similarity"))
def test_stillness_is_zero(name, swinging):
    assert rac_jax.load(name).count(swinging / "still.mp4").count == 0


def test_a_part_of_a_file(swinging):
    counter = rac_jax.load("self-similarity")
    result = counter.count(swinging / "swing.mp4", start_s=2.0, end_s=6.0)
    assert result.count == pytest.approx(4, rel=0.06)
    assert result.duration_s == pytest.approx(4, abs=0.1)


def test_the_first_of_equal_peaks_is_the_period():
    lags = np.arange(60)
    similarity = np.cos(2 * np.pi * lags / 12)
    assert baselines.first_peak(similarity, 2)[0] == 12
    assert baselines.first_peak(np.linspace(1, 0, 60), 2) == (0, 0.0)
    # All of them may be negative, in a video that only drifts.
    assert baselines.first_peak(similarity - 2, 2)[0] == 12


def test_correlation_by_lag_by_hand():
    frames = np.array([[1.0], [-1.0]] * 6)
    np.testing.assert_allclose(
        baselines.pixel_similarity(frames, 3), [1, -1, 1, -1], atol=1e-9
    )


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(MediaError, match="none.mp4"):
        rac_jax.load("self-similarity").count(tmp_path / "none.mp4")
