"""Kinds of scenes in a batch, and what is done to windows of them."""

import jax
import numpy as np
import pytest

from rac_jax.scenes import SceneConfig
from rac_jax.train import scene_windows

KINDS = {
    "b still": {"share": 0.25, "still": 1.0},
    "a moves": {"share": 0.75, "still": 0.0, "period": [4.0, 9.0]},
}


def test_kinds_of_a_config():
    parts = scene_windows.scene_parts(KINDS, frames=16, height=8, width=8)
    assert [share for share, _ in parts] == [0.75, 0.25]
    assert parts[0][1] == SceneConfig(
        frames=16, height=8, width=8, still=0.0, period=(4.0, 9.0)
    )
    with pytest.raises(ValueError, match="scenes.colour: no such field"):
        scene_windows.scene_parts({"a": {"share": 1.0, "colour": 2}})


def test_kinds_have_their_share():
    one = SceneConfig()
    parts = ((0.6, one), (0.2, one), (0.2, one))
    assert scene_windows.part_sizes(parts, 16) == [10, 3, 3]
    assert scene_windows.part_sizes(parts, 2) == [1, 0, 1]


def test_windows_are_reversed_whole_and_end_early_at_rest():
    frames = np.arange(20, dtype=np.int32)[None].repeat(64, 0)
    batch = {
        "windows": frames,
        "rate": frames / 100.0,
        "periodic": np.ones((64, 20), bool),
    }
    back = scene_windows.reverse_some(jax.random.key(0), batch)
    turned = np.asarray(back["windows"])[:, 0] == 19
    assert 16 < turned.sum() < 48
    for row, (window, rate) in enumerate(zip(back["windows"], back["rate"])):
        want = frames[row, ::-1] if turned[row] else frames[row]
        np.testing.assert_array_equal(window, want)
        np.testing.assert_allclose(rate, want / 100.0, rtol=1e-6)
    early = jax.device_get(scene_windows.end_early(jax.random.key(1), batch, 0.5))
    ends = early["windows"].max(1) + 1
    assert 16 < (ends < 20).sum() < 48 and ends.min() >= 12
    for row, end in enumerate(ends):
        np.testing.assert_array_equal(
            early["windows"][row], np.minimum(frames[row], end - 1)
        )
        assert not early["rate"][row, end:].any()
        assert early["periodic"][row].sum() == end
