"""The spectrogram against scipy, and its laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from rac_jax.ops import spectrogram
from rac_jax.ops.sound_format import HOP, RATE, column_count


def reference(waveform, rate=RATE):
    _, _, density = scipy.signal.spectrogram(waveform, rate, nperseg=512, noverlap=353)
    return np.log(density + 1e-7)


def sound(samples, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 7000 * t)
    envelope = np.exp(-20 * (t % 0.5))
    return (tone * envelope + 0.02 * rng.normal(size=samples) + 0.05).astype(np.float32)


@pytest.mark.parametrize("samples", [512, 671, 672, 5000, 22050])
def test_log_spectrogram_equals_scipy(samples):
    waveform = sound(samples)
    ours = jax.jit(spectrogram.log_spectrogram)(waveform)
    expected = reference(waveform)
    assert ours.shape == expected.shape == (257, column_count(samples))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_batched_and_standardised():
    waveforms = np.stack([sound(9000, seed) for seed in range(3)])
    ours = spectrogram.standardise(spectrogram.log_spectrogram(waveforms))
    for row, waveform in zip(ours, waveforms, strict=True):
        expected = reference(waveform)
        expected = (expected - expected.mean()) / (expected.std() + 1e-9)
        np.testing.assert_allclose(row, expected, atol=1e-4)


def test_silence_is_finite_and_constant():
    silent = spectrogram.standardise(spectrogram.log_spectrogram(jnp.zeros(8000)))
    assert np.isfinite(silent).all()
    np.testing.assert_allclose(silent, silent[0, 0], atol=1e-3)


def test_shift_by_one_hop_moves_one_column():
    waveform = sound(9000)
    whole = spectrogram.log_spectrogram(waveform)
    moved = spectrogram.log_spectrogram(waveform[HOP:])
    np.testing.assert_allclose(moved, whole[:, 1:], atol=1e-5)


def test_short_and_empty_waveforms():
    assert spectrogram.log_spectrogram(jnp.ones(10)).shape == (257, 1)
    assert column_count(0) == 0
    with pytest.raises(ValueError, match="no samples"):
        spectrogram.log_spectrogram(jnp.zeros(0))


def half_pixel_resize(columns, length):
    """Bilinear, half-pixel centres, no anti-aliasing: [F, n] to [F, length]."""
    n = columns.shape[1]
    at = (np.arange(length) + 0.5) * n / length - 0.5
    return np.stack([np.interp(at, np.arange(n), row) for row in columns])


def test_segment_equals_resize_of_whole():
    """A segment computed from windows alone equals padding, slicing and resizing the whole."""
    waveform = sound(200_000)
    whole = spectrogram.log_spectrogram(waveform)
    mean, std = whole.mean(), whole.std()
    columns = whole.shape[1]
    padded = jnp.pad((whole - mean) / (std + 1e-9), ((0, 0), (0, 300)))
    first, last = columns - 550, columns + 300
    expected = half_pixel_resize(np.asarray(padded[:, first:last]), 500)
    x = (
        np.clip(
            (np.arange(500) + 0.5) * (last - first) / 500 - 0.5, 0, last - first - 1
        )
        + first
    )
    low = np.floor(x).astype(int)
    samples = np.arange(512)
    ours = spectrogram.segment_spectrogram(
        waveform[(np.minimum(low, columns - 1) * HOP)[:, None] + samples][None],
        waveform[(np.minimum(low + 1, columns - 1) * HOP)[:, None] + samples][None],
        (x - low).astype(np.float32)[None],
        (low < columns)[None],
        (low + 1 < columns)[None],
        mean,
        std,
    )
    np.testing.assert_allclose(ours[0], expected, atol=1e-4)
    assert (np.asarray(ours[0, :, -150:]) == 0).all()
