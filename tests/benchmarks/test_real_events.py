"""Onsets are where sounds begin, and a late sound costs nobody anything."""

import pathlib

import numpy as np
import pytest

from benchmarks import real_events as real


def test_onsets_are_where_clicks_begin():
    rng = np.random.default_rng(0)
    sound = 0.01 * rng.normal(size=3 * real.RATE).astype(np.float32)
    times_s = np.asarray([0.5, 1.0, 1.7, 2.6])
    fade = np.exp(-np.arange(real.RATE // 10) / (0.02 * real.RATE))
    for time_s in times_s:
        place = int(time_s * real.RATE)
        sound[place : place + len(fade)] += 0.5 * fade * rng.normal(size=len(fade))
    # The window is 46 ms long and looks ahead by half of it.
    np.testing.assert_allclose(real.onsets(sound), times_s, atol=0.03)
    assert len(real.onsets(np.zeros(real.RATE, np.float32))) == 0
    assert len(real.onsets(np.zeros(0, np.float32))) == 0


def test_every_file_has_an_offset_of_its_own():
    onsets_s = np.asarray([0.5, 1.1, 2.0, 2.4])
    clip = real.Clip(pathlib.Path("x.mp4"), 0.0, 3.0, 4, onsets_s)
    found, offset_s = real.shifted(onsets_s - 0.2, clip, 0.04)
    assert found.f1 == 1 and offset_s == pytest.approx(0.2, abs=0.041)
    found, _ = real.shifted(onsets_s - 0.5, clip, 0.04)
    assert found.f1 < 0.6
    cells = real.line("x", [clip], [onsets_s]).split()
    assert cells == ["x", "1.000", "1.000", "1.000", "1.000", "4", "0"]
    assert real.grid(clip, 1.0).tolist() == [0.5, 1.5, 2.5]
