"""What a training example is cut out of: frames at the network's rate, phases by hand."""

import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sien.crops import RandomCrops, phases_of
from rac_jax.models.sien.losses import phase_targets


def numbered(frames=64, fps=32.0, **changes):
    """A video whose frame t has value t."""
    values = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(values, (frames, 4, 4, 3))
    return LabelledVideo("v", pixels, fps, **({"count": 1.0, "label": "b"} | changes))


def shown(example):
    return example["clips"][:, 0, 0, 0].tolist()


def test_crops_are_at_the_rate_of_the_network():
    crops = RandomCrops(10, 16.0, 4, ("a", "b"))
    firsts = set()
    for seed in range(40):
        example = crops(numbered(), np.random.default_rng(seed))
        found = shown(example)
        assert np.diff(found).tolist() == [2] * 9 and example["label"] == 1
        firsts.add(found[0])
    assert min(firsts) == 0 and max(firsts) == 64 - 20
    blank = crops.blank()
    assert {k: (v.shape, v.dtype) for k, v in blank.items()} == {
        k: (v.shape, v.dtype) for k, v in example.items()
    }
    with pytest.raises(ValueError, match="v: its label 'x' is none of the 2 classes"):
        crops(numbered(label="x"), np.random.default_rng(0))


def test_a_short_video_is_led_in_by_its_first_frame():
    crops = RandomCrops(8, 16.0, 4, ("b",))
    example = crops(numbered(frames=9), np.random.default_rng(0))
    assert shown(example) == [0, 0, 0, 0, 2, 4, 6, 8]


def test_phases_by_hand():
    cycles = np.array([[4.0, 12.0], [12.0, 20.0]], np.float32)
    video = numbered(24, cycles=cycles, turns=np.array([10.0, 14.0], np.float32))
    times = np.arange(-2, 12) * 2.0
    fields = phases_of(video, times, 2.0).astype(np.float32)[:, None]
    inside = fields[3] > 0
    found = phase_targets("halves", fields[0], fields[1], fields[2], inside)
    assert "".join(map(str, found[0].tolist())) == "0000" + "1112" + "1222" + "00"
    np.testing.assert_allclose(fields[0, 0, 4:8], [0, 1 / 6, 1 / 3, 0.5])
    np.testing.assert_allclose(fields[1, 0, 8:12], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(fields[2, 0, 4:12], 0.25)
    # Half-way, where it is not known when a cycle turns round; and a video without one.
    half = phases_of(numbered(24, cycles=cycles), times, 2.0)
    np.testing.assert_allclose(half[0], half[1])
    assert not phases_of(numbered(24, cycles=cycles[:0]), times, 2.0).any()
    crops = RandomCrops(8, 16.0, 4)
    example = crops(video, np.random.default_rng(0))
    assert {k: (v.shape, v.dtype) for k, v in crops.blank().items()} == {
        k: (v.shape, v.dtype) for k, v in example.items()
    }
    with pytest.raises(ValueError, match="v: has no cycles, so its phases are unknown"):
        crops(numbered(), np.random.default_rng(0))
