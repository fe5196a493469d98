"""Augmentation of clips and spectrograms: what each changes, and what it must leave alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops import augment

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (4, 3, 16, 16, 3)).astype(np.uint8)


def test_the_whole_picture_is_itself(clips):
    corners, sizes = np.zeros((4, 2)), np.full((4, 2), 16.0)
    found = augment.crop(clips, corners, sizes, 16)
    np.testing.assert_allclose(found, clips, atol=1e-3)


def test_a_crop_at_its_own_scale_is_a_slice(clips):
    corners = np.array([[2.0, 5.0]] * 4)
    found = augment.crop(clips, corners, np.full((4, 2), 8.0), 8)
    np.testing.assert_allclose(found, clips[:, :, 2:10, 5:13], atol=1e-3)


def test_random_crops_are_parts_alike_for_all_frames():
    """Of a ramp from left to right every crop is a ramp, of a slope that tells its width."""
    ramp = np.broadcast_to(np.arange(32.0)[None, :, None], (32, 32, 1))
    still = np.broadcast_to(ramp, (16, 2, 32, 32, 1))
    found = augment.random_resized_crop(KEY, still, 16, (0.2, 0.6))
    assert found.shape == (16, 2, 16, 16, 1)
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-4)
    inner = np.asarray(found)[:, 0, 8, 2:-2, 0]
    widths = 16 * np.diff(inner).mean(1)
    # A share of 0.2 to 0.6 at an aspect from 3/4 to 4/3.
    assert widths.min() > 32 * np.sqrt(0.2 * 3 / 4) - 0.5
    assert widths.max() < 32 * np.sqrt(0.6 * 4 / 3) + 0.5
    assert len(np.unique(widths.round(2))) > 10
    assert inner.min() >= 0 and inner.max() <= 31


def test_views_are_left_middle_and_right(clips):
    found = augment.views(clips, 8, 3)
    assert found.shape == (12, 3, 8, 8, 3)
    for place, left in enumerate((0, 4, 8)):
        wanted = clips[:, :, 4:12, left : left + 8]
        np.testing.assert_allclose(found[4 * place : 4 * place + 4], wanted, atol=1e-3)
    np.testing.assert_allclose(augment.views(clips, 8, 1), found[4:8])


def test_some_clips_are_flipped(clips):
    found = np.asarray(augment.random_flip(KEY, jnp.asarray(clips), 0.5))
    turned = [np.array_equal(a, b[:, :, ::-1]) for a, b in zip(found, clips)]
    same = [np.array_equal(a, b) for a, b in zip(found, clips)]
    assert any(turned) and any(same) and all(np.logical_xor(turned, same))


def test_colour_changes_brightness_contrast_and_saturation(clips):
    pixels = jnp.asarray(clips / 255.0, jnp.float32)
    np.testing.assert_allclose(
        augment.colour_jitter(KEY, pixels, 0.0), pixels, atol=1e-5
    )
    found = np.asarray(augment.colour_jitter(KEY, pixels, 0.4))
    assert found.min() >= 0 and found.max() <= 1
    assert np.abs(found - pixels).mean() > 0.01
    # What is grey stays grey, and one factor of brightness is all that an even grey shows.
    grey = np.asarray(augment.colour_jitter(KEY, jnp.full((4, 2, 4, 4, 3), 0.4), 0.5))
    assert np.ptp(grey, axis=(1, 2, 3, 4)).max() < 1e-5
    assert grey.min() >= 0.2 - 1e-6 and grey.max() <= 0.6 + 1e-6


def test_bands_are_masked():
    ones = jnp.ones((8, 20, 30))
    found = np.asarray(augment.mask_bands(KEY, ones, 5, 7, 1))
    for row in found:
        bands, spans = (row == 0).all(1), (row == 0).all(0)
        assert bands.sum() <= 5 and spans.sum() <= 7
        assert (np.diff(bands.astype(int)) == 1).sum() <= 1
        # Nothing but whole rows and whole columns.
        assert ((row == 0) == (bands[:, None] | spans[None])).all()
    assert (found == 0).any()
    np.testing.assert_array_equal(augment.mask_bands(KEY, ones, 0, 0, 2), ones)


def test_mixup_mixes_inputs_and_targets_alike():
    inputs = jnp.arange(4.0)[:, None] * jnp.ones((1, 3))
    targets = jnp.eye(4)
    mask = jnp.array([True, True, False, True])
    x, y = augment.mixup(KEY, inputs, targets, mask, 0.8)
    share = np.diag(y)
    before = np.array([3.0, 0.0, 1.0, 2.0])
    np.testing.assert_allclose(x[:, 0], share * np.arange(4) + (1 - share) * before)
    np.testing.assert_allclose(np.sum(y, axis=1), 1.0, rtol=1e-6)
    # A row that cannot be read mixes with none.
    assert share[2] == share[3] == 1 and 0.5 <= share[0] < 1


def test_normalise():
    found = augment.normalise(
        jnp.full((1, 1, 2, 2, 3), 0.5), (0.5, 0.4, 0.0), (1, 2, 5)
    )
    np.testing.assert_allclose(found[0, 0, 0, 0], [0.0, 0.05, 0.1], atol=1e-6)
