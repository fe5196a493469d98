"""A head learns events from what an encoder sees, and the encoder with it."""

import numpy as np
import pytest

from benchmarks import event_heads

FRAMES = 16

pytestmark = pytest.mark.usefixtures("quick_compiling")


class Flashes:
    """Stored windows in which pictures are bright where something is heard."""

    batches = 10

    def __init__(self):
        rng = np.random.default_rng(0)
        self.events = np.zeros((20, FRAMES), np.float32)
        self.events[np.arange(20), rng.integers(0, FRAMES, 20)] = 1
        bright = self.events[..., None, None, None]
        self.pictures = rng.normal(0, 0.1, (20, FRAMES, 2, 2, 3)) + bright

    def read(self, number):
        """Two of them."""
        rows = slice(2 * number, 2 * number + 2)
        events = self.events[rows]
        return self.pictures[rows].astype(np.float32), events, np.ones_like(events)


@pytest.mark.parametrize("tuned_steps", (0, 20))
def test_a_head_learns_flashes(monkeypatch, tuned_steps):
    gain = {"params": {"gain": np.ones(3, np.float32)}}
    gains = []

    def encode(variables, windows):
        gains.append(variables["params"]["gain"])
        return windows.mean((2, 3)) * gains[-1]

    known = (encode, gain, 2, FRAMES)
    monkeypatch.setattr(event_heads, "encoder_of", lambda name: known)
    head = event_heads.learn("x", Flashes(), steps=120, tuned_steps=tuned_steps)
    video = np.full((40, 2, 2, 3), 128, np.uint8)
    video[[9, 22, 33]] = 255
    assert head.mark(video).tolist() == [9, 22, 33]
    # The encoder learns where it is to.
    moved = not np.array_equal(gains[-1], np.ones(3))
    assert moved == bool(tuned_steps)
