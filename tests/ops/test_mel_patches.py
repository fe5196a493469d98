"""Patches of log-mel bands: their size, a tone's place, and what silence gives."""

import numpy as np
import pytest

from rac_jax.ops import mel_patches


def test_against_a_plain_computation():
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 16_000)
    found = np.asarray(mel_patches.log_mel_patch(sound.astype(np.float32)))
    assert found.shape == (101, 40)
    # Column 37 is centred on sample 37 * 160; the first begins in its own reflection.
    hann = np.hanning(401)[:400]
    matrix = mel_patches.mel.mel_matrix(40, (0.0, 8000.0), 400, 16_000)
    assert matrix.shape == (201, 40)
    np.testing.assert_allclose(matrix.sum(0), 1.0, atol=1e-6)
    reflected = np.concatenate([sound[200:0:-1], sound[:200]])
    for column, part in ((37, sound[5720:6120]), (0, reflected)):
        power = np.abs(np.fft.rfft(part * hann)) ** 2
        np.testing.assert_allclose(
            found[column], np.log(power @ matrix + 1e-6), atol=1e-3
        )


def test_a_tone_is_in_its_band_and_loudness_does_not_matter():
    time_s = np.arange(16_000) / 16_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s).astype(np.float32)
    patches = np.asarray(mel_patches.mel_patch(np.stack([tone, 0.25 * tone])))
    assert patches.shape == (2, 101, 40)
    np.testing.assert_allclose(patches.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(patches.std((1, 2)), 1, atol=1e-3)
    # 1000 Hz is mel 1000 of 2840, the corners are 41 apart: 40 bands of 69 mel.
    assert set(patches[0].argmax(-1)) <= {13, 14}
    # But for the floor, which does not fall with the tone.
    assert np.abs(patches[0] - patches[1]).max() < 0.6


def test_silence_gives_zeros():
    bit = np.random.default_rng(0).integers(-1, 2, 16_000) / 2.0**15
    silences = np.stack([np.zeros(16_000), np.full(16_000, 1e-6), bit])
    patches = np.asarray(mel_patches.mel_patch(silences.astype(np.float32)))
    np.testing.assert_array_equal(patches, 0.0)
    raw = np.asarray(mel_patches.log_mel_patch(np.zeros(16_000, np.float32)))
    np.testing.assert_allclose(raw, np.log(1e-6), rtol=1e-6)


def test_another_length_is_refused():
    with pytest.raises(ValueError, match="has 15999 samples, a patch is of 16000"):
        mel_patches.mel_patch(np.zeros(15_999, np.float32))
