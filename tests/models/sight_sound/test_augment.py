"""Augmentations change pictures and sounds as they say, and labels with them."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from rac_jax.models.sight_sound import augment
from rac_jax.models.sight_sound.scene_batches import normalise

KEY = jax.random.key(0)
STILL = {"flip": 0.0, "crop": 0.0, "colour": 0.0}
QUIET = dict.fromkeys(("noise", "reverse", "append", "resize", "band"), 0.0)
QUIET["band_rows"] = 0


def clips(batch=4):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.integers(0, 256, (batch, 3, 8, 8, 3)), jnp.uint8)


def augmented(real=None, key=KEY, **changes):
    pixels = clips()
    real = jnp.ones(pixels.shape[:2], bool) if real is None else real
    settings = ml_collections.ConfigDict(STILL | changes)
    return np.asarray(augment.augment_clips(key, pixels, real, settings))


def test_nothing_chosen_is_normalisation_alone():
    np.testing.assert_array_equal(augmented(), normalise(clips()))


def test_flipping_mirrors_whole_clips():
    plain = np.asarray(normalise(clips()))
    np.testing.assert_array_equal(augmented(flip=1.0), plain[:, :, :, ::-1])
    mixed = augmented(flip=0.5, key=jax.random.key(5))
    mirrored = [
        bool((one == p[:, :, ::-1]).all()) for one, p in zip(mixed, plain, strict=True)
    ]
    kept = [bool((one == p).all()) for one, p in zip(mixed, plain, strict=True)]
    assert [a != b for a, b in zip(mirrored, kept)] == [True] * 4
    assert any(mirrored) and any(kept)


def test_crops_are_windows_of_the_clip():
    # A ramp stays a ramp, steeper by what was cut away, and within its range.
    ramp = jnp.broadcast_to(jnp.arange(8.0)[None, None, :, None] * 30, (2, 8, 8, 3))
    cropped = np.asarray(augment._crop(KEY, ramp, share=0.5))
    inner = cropped[0, 4, 2:6, 0]
    steps = np.diff(inner)
    assert np.allclose(steps, steps[0], atol=1e-3) and 15 <= steps[0] < 30
    assert cropped.min() >= 0 and cropped.max() <= 210.01
    np.testing.assert_array_equal(cropped[0], cropped[1])


def test_colours_change_by_gain_and_offset_alone():
    plain, coloured = np.asarray(normalise(clips())), augmented(colour=0.3)
    for before, after in zip(plain, coloured, strict=True):
        for channel in range(3):
            x, y = before[..., channel].ravel(), after[..., channel].ravel()
            gain, offset = np.polyfit(x, y, 1)
            np.testing.assert_allclose(gain * x + offset, y, atol=1e-4)
            assert 0.49 <= gain <= 1.69 and abs(offset) <= 0.3
            assert gain != pytest.approx(1)


def test_padding_stays_zero():
    real = jnp.asarray([[True, True, False]] * 4)
    assert not augmented(real=real, colour=0.3, crop=0.2)[:, 2].any()


def heard(key=KEY, columns=12, **changes):
    values = jnp.broadcast_to(jnp.arange(1.0, 21), (4, 257, 20))
    real = jnp.arange(20) < columns
    rates = jnp.broadcast_to(jnp.where(real, 0.25, 0.0), (4, 20))
    settings = ml_collections.ConfigDict(QUIET | changes)
    result = augment.augment_spectrograms(
        key,
        values * real,
        jnp.full(4, columns),
        jnp.full(4, 0.25 * columns),
        rates,
        settings,
    )
    return [np.asarray(part) for part in result]


def test_nothing_chosen_keeps_the_spectrogram():
    columns, counts, rates = heard()
    np.testing.assert_allclose(columns[0, 0], [*range(1, 13), *[0] * 8])
    np.testing.assert_allclose(counts, 3.0)
    np.testing.assert_allclose(rates.sum(1), 3.0, rtol=1e-5)


def test_reversal_runs_the_real_part_backwards():
    columns, counts, _ = heard(reverse=1.0)
    np.testing.assert_allclose(columns[0, 5], [*range(12, 0, -1), *[0] * 8])
    np.testing.assert_allclose(counts, 3.0)


def test_what_is_appended_is_a_crop_and_is_counted():
    columns, counts, rates = heard(append=1.0)
    for row, count, rate in zip(columns[:, 0], counts, rates, strict=True):
        length = round((count - 3.0) / 0.25)
        assert 0 <= length <= 11
        if length <= 8:  # else it is squeezed into the 20 columns
            np.testing.assert_allclose(row[:12], range(1, 13), rtol=1e-5)
            added = row[12 : 12 + length]
            np.testing.assert_allclose(np.diff(added), 1.0, rtol=1e-5)
            assert not row[12 + length :].any()
        assert rate.sum() == pytest.approx(count, rel=1e-4)


def test_growing_over_the_end_squeezes():
    columns, counts, rates = heard(columns=20, append=1.0)
    assert (counts >= 5.0).all() and (counts > 5.0).any()
    # The last column is the end of what was appended, not the end of the first part.
    assert (columns[:, 0].max(1) <= 20).all()
    np.testing.assert_allclose(rates.sum(1), counts, rtol=1e-4)


def test_resizing_keeps_the_count():
    columns, counts, rates = heard(resize=1.0)
    np.testing.assert_allclose(counts, 3.0)
    np.testing.assert_allclose(rates.sum(1), 3.0, rtol=1e-4)
    lengths = (columns[:, 0] != 0).sum(1)
    assert (lengths >= 10).all() and (lengths <= 14).all() and (lengths != 12).any()


def test_noise_is_small_and_bands_are_zero():
    plain, _, _ = heard()
    noisy, _, _ = heard(noise=1.0)
    assert 0 < np.abs(noisy - plain).max() <= augment.NOISE
    banded, _, _ = heard(band=1.0)
    for one in banded:
        rows = np.flatnonzero(~one[:, :12].any(1))
        assert len(rows) <= augment.LONGEST_BAND * 257
        assert len(rows) == 0 or np.ptp(rows) == len(rows) - 1
    assert any(not one[:, :12].any(1).all() for one in banded)
    wide, _, _ = heard(band=1.0, band_rows=9)
    assert [int((~one[:, :12].any(1)).sum()) for one in wide] == [9] * len(wide)
