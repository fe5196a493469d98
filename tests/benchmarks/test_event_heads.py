"""A head learns events from what a frozen encoder sees."""

import pathlib

import numpy as np
import pytest

from benchmarks import event_heads

FRAMES = 16

pytestmark = pytest.mark.usefixtures("quick_compiling")


def test_a_head_learns_flashes(monkeypatch):
    rng = np.random.default_rng(0)
    events = np.zeros((20, FRAMES), np.float32)
    events[np.arange(20), rng.integers(0, FRAMES, 20)] = 1
    windows = rng.normal(0, 0.1, (20, FRAMES, 2, 2, 3)) + events[..., None, None, None]

    def encode(x):
        return np.asarray(x).mean((2, 3))

    monkeypatch.setattr(event_heads, "encoder_of", lambda name: (encode, 2, FRAMES))
    known = encode(windows), events, np.ones_like(events)
    monkeypatch.setattr(event_heads, "read_windows", lambda folder, encode: known)
    head = event_heads.learn("x", pathlib.Path(), steps=120)
    video = np.full((40, 2, 2, 3), 128, np.uint8)
    video[[9, 22, 33]] = 255
    assert head.mark(video).tolist() == [9, 22, 33]
