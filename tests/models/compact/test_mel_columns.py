"""Mel bands of a stream of samples, against those of the whole recording."""

import numpy as np
import pytest

from rac_jax.models.compact import bands, mel_columns
from rac_jax.ops import mel, sound_format, spectrogram
from tests.conftest import knocks


def fed(samples, cuts) -> mel_columns.MelColumns:
    columns = mel_columns.MelColumns()
    for part in np.split(samples, cuts):
        columns.feed(part)
    columns.finish()
    return columns


def whole(samples) -> np.ndarray:
    """[n, 32]"""
    return np.asarray(mel.log_mel(spectrogram.log_spectrogram(samples).T))


def every_column(columns) -> np.ndarray:
    return columns._columns(0, columns.available)


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.9, 5.0])
def test_columns_are_those_of_the_whole_recording(seconds):
    samples = knocks(seconds)
    columns = fed(samples, [])
    assert columns.available == sound_format.column_count(len(samples))
    np.testing.assert_allclose(every_column(columns), whole(samples), atol=1e-4)


def test_chunks_do_not_matter():
    samples = knocks(5.0)
    once = fed(samples, [])
    rng = np.random.default_rng(0)
    for cuts in ([1, 2, 600], np.sort(rng.integers(0, len(samples), 40))):
        again = fed(samples, cuts)
        np.testing.assert_array_equal(every_column(again), every_column(once))
        assert again.audible == once.audible


def test_a_window_is_the_mean_of_its_columns():
    samples = knocks(5.0)
    times_s = np.arange(65) / 25
    edges = bands.column_positions(bands.sub_frame_edges(times_s))
    want = bands.average_columns(whole(samples), edges).reshape(64, 4, 32)
    np.testing.assert_allclose(fed(samples, []).window(times_s), want, atol=1e-4)


def test_a_window_is_there_as_soon_as_its_columns_are():
    samples = knocks(6.0)
    times_s = np.arange(65) / 25
    columns = mel_columns.MelColumns()
    columns.feed(samples[: round(2.5 * sound_format.RATE)])
    assert not columns.has(times_s)
    columns.feed(samples[round(2.5 * sound_format.RATE) :])
    assert columns.has(times_s)
    early = columns.window(times_s)
    columns.finish()
    np.testing.assert_array_equal(early, columns.window(times_s))


def test_what_is_forgotten_is_gone():
    columns = fed(knocks(20.0), [])
    later = columns.window(12.0 + np.arange(65) / 25)
    columns.forget([12.0])
    assert columns.held < 0.5 * columns.available
    np.testing.assert_array_equal(columns.window(12.0 + np.arange(65) / 25), later)
    with pytest.raises(ValueError, match="is gone"):
        columns.window(np.arange(65) / 25)


def test_a_copy_goes_on_by_itself():
    samples = knocks(4.0)
    columns = mel_columns.MelColumns()
    columns.feed(samples[:40_000])
    twin = columns.copy()
    twin.feed(np.ones(30_000, np.float32))
    twin.forget([1.0])
    columns.feed(samples[40_000:])
    columns.finish()
    np.testing.assert_array_equal(every_column(columns), every_column(fed(samples, [])))


@pytest.mark.parametrize(
    ("samples", "audible"),
    [
        (np.zeros(30_000, np.float32), False),
        (np.zeros(3, np.float32), False),
        (np.zeros(0, np.float32), False),
        # A rounding error of 16 bits here and there.
        (np.round(np.random.default_rng(0).normal(size=30_000)) / 32768, False),
        (np.random.default_rng(0).normal(size=30_000) * 3e-3, True),
        (np.append(np.zeros(50_000), knocks(0.1)), True),
    ],
)
def test_digital_silence_is_no_sound(samples, audible):
    assert fed(samples.astype(np.float32), []).audible == audible


def test_the_deviation_is_that_of_the_whole_spectrogram():
    samples = knocks(7.0)
    columns = fed(samples, [])
    found = np.sqrt(columns._squares / columns._values)
    want = np.std(np.asarray(spectrogram.log_spectrogram(samples), np.float64))
    assert found == pytest.approx(want, rel=1e-4)
