"""A window seen another way: its flow and its labels still belong to its pictures."""

import jax
import numpy as np

from rac_jax.models.ta2net.symmetries import vary

NUMBER, FRAMES, SIDE = 24, 5, 6


def test_flow_and_labels_go_with_the_pictures():
    rng = np.random.default_rng(0)
    shifts = np.asarray([(1, 0), (0, 2), (2, -1)] * (NUMBER // 3))
    clips = np.zeros((NUMBER, FRAMES, SIDE, SIDE, 3), np.float32)
    rate = (rng.uniform(size=(NUMBER, FRAMES)) < 0.4).astype(np.float32)
    for clip, (x, y) in zip(clips, shifts, strict=True):
        clip[0] = rng.normal(size=(SIDE, SIDE, 3))
        for place in range(1, FRAMES):
            clip[place] = np.roll(clip[place - 1], (y, x), (0, 1))
    # A frame that sounds is bright all over.
    clips += 100 * rate[..., None, None, None]
    flow = np.broadcast_to(shifts[:, None, None, None], (*clips.shape[:-1], 2))
    flow = flow.astype(np.float32)
    batch = {
        "features.0": clips,
        "features.1": flow,
        "features.2": -flow,
        "rate": rate,
        "periodic": rate > 0,
        "mask": np.ones(NUMBER, bool),
    }
    found = jax.device_get(vary(batch, jax.random.key(0)))
    assert {name: x.shape for name, x in found.items()} == {
        name: x.shape for name, x in batch.items()
    }
    np.testing.assert_array_equal(found["periodic"], found["rate"] > 0)
    dark = found["features.0"] - 100 * found["rate"][..., None, None, None]
    assert np.abs(dark).max() < 20
    seen = set()
    for clip, there, back in zip(
        dark, found["features.1"], found["features.2"], strict=True
    ):
        x, y = there[0, 0, 0].astype(int)
        np.testing.assert_array_equal(there, np.broadcast_to((x, y), there.shape))
        np.testing.assert_array_equal(back, -there)
        for place in range(1, FRAMES):
            moved = np.roll(clip[place - 1], (y, x), (0, 1))
            np.testing.assert_allclose(clip[place], moved, atol=1e-4)
        seen.add((int(x), int(y)))
    # Each of the shifts in many ways.
    assert len(seen) > 8
