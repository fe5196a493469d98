"""Resizing in memory, and the eight ways to lay a picture."""

import itertools

import numpy as np
import pytest

from rac_jax.media import pixels


def area_by_loop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mean of what lies under each target pixel, by cutting pixels into a fine grid."""
    rows, columns = image.shape[:2]
    fine = image.repeat(height, axis=0).repeat(width, axis=1).astype(float)
    return fine.reshape(height, rows, width, columns, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [(3, 4), (7, 5), (14, 10), (1, 1), (13, 9)])
def test_area_is_the_mean_under_a_pixel(size):
    frames = np.random.default_rng(0).integers(0, 256, (2, 14, 10, 3), np.uint8)
    small = pixels.resize_frames(frames, size)
    for ours, image in zip(small, frames, strict=True):
        assert np.abs(ours - area_by_loop(image, *size)).max() <= 0.51


@pytest.mark.parametrize("interpolation", pixels.INTERPOLATIONS)
def test_growing_is_bilinear(interpolation):
    ramp = np.arange(0, 250, 10, dtype=np.uint8)  # 25 values
    frames = np.broadcast_to(ramp[None, None, :, None], (1, 4, 25, 3))
    large = pixels.resize_frames(frames, (9, 100), interpolation)
    position = np.clip((np.arange(100) + 0.5) / 4 - 0.5, 0, 24)
    assert large.shape == (1, 9, 100, 3)
    assert np.abs(large - (10 * position)[None, None, :, None]).max() <= 0.5


def test_same_size_is_untouched():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)
    for interpolation in pixels.INTERPOLATIONS:
        np.testing.assert_array_equal(
            pixels.resize_frames(frames, (5, 6), interpolation), frames
        )


def test_grey_is_luma():
    frames = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]], np.uint8)
    np.testing.assert_array_equal(pixels.to_grey(frames), [0, 255, 76, 150])
    many = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    grey = pixels.to_grey(many)
    assert grey.shape == (2, 5, 7) and grey.dtype == np.uint8
    red, green, blue = np.moveaxis(many.astype(float), -1, 0)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(grey - expected).max() <= 0.501
    assert pixels.to_grey(many[:0]).shape == (0, 5, 7)


def test_bad_arguments():
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="'nearest' is not one of area, bilinear"):
        pixels.resize_frames(frames, (2, 2), "nearest")
    with pytest.raises(ValueError, match="size: must be at least 1 by 1"):
        pixels.resize_frames(frames, (2, 0))


@pytest.mark.parametrize("signs", list(itertools.product([1, -1], repeat=2)))
@pytest.mark.parametrize("transpose", [False, True])
def test_orientation_follows_the_display_matrix(transpose, signs):
    """Every pixel goes where the matrix sends it."""
    first, second = signs
    # (p, q) -> (a p + c q, b p + d q), moved so that the picture begins at (0, 0)
    a, b, c, d = (0, second, first, 0) if transpose else (first, 0, 0, second)
    image = np.arange(3 * 5)[..., None].reshape(3, 5, 1)
    q, p = np.mgrid[:3, :5]
    x, y = a * p + c * q, b * p + d * q
    x, y = x - x.min(), y - y.min()
    expected = np.empty((y.max() + 1, x.max() + 1, 1), int)
    expected[y, x] = image
    matrix = [a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 7, 8, 1 << 30]
    orientation = pixels.Orientation.from_matrix(matrix)
    np.testing.assert_array_equal(orientation.apply(image), expected)
    assert orientation.stored_size(expected.shape[:2]) == (3, 5)


def test_other_angles_are_rounded():
    angle = np.deg2rad(80)
    matrix = [
        np.cos(angle),
        np.sin(angle),
        0,
        -np.sin(angle),
        np.cos(angle),
        0,
        0,
        0,
        1,
    ]
    turned = pixels.Orientation.from_matrix([round(65536 * m) for m in matrix])
    assert turned == pixels.Orientation.from_matrix([0, 1, 0, -1, 0, 0, 0, 0, 1])
