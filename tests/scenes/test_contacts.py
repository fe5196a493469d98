"""Frames of contact: where strokes turn round and balls land, nowhere else."""

import jax
import numpy as np
import pytest

from rac_jax.scenes import KINDS, SceneConfig
from rac_jax.scenes.contacts import contact_frames
from rac_jax.scenes.motion import HITTING
from rac_jax.scenes.timeline import make_timeline


@pytest.mark.parametrize("kind", KINDS)
def test_contacts(kind):
    config = SceneConfig(frames=80, still=0.0, period=(6.0, 12.0))
    number = KINDS.index(kind)
    for seed in range(3):
        when = make_timeline(jax.random.key(seed), config)
        found = np.asarray(contact_frames(when, np.int32(number), np.True_, 80))
        if kind not in HITTING:
            assert not found.any()
            continue
        missing = contact_frames(when, np.int32(number), np.False_, 80)
        assert not np.asarray(missing).any()
        share = 1.0 if kind == "bounce" else float(when.strike)
        times = np.asarray(when.starts + share * when.lengths)[np.asarray(when.valid)]
        wanted = {round(float(t)) for t in times if round(float(t)) < 80}
        assert set(np.flatnonzero(found)) == wanted
        if kind == "stroke":
            # There the stroke is the furthest from where it began.
            inner = [f for f in wanted if 0 < f < 79]
            stage = np.asarray(when.stage)
            assert all(abs(stage[f] - 0.5) < 0.2 for f in inner)
