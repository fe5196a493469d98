"""A dubbed track, heard by the default model's sound stream alone, has as many repetitions."""

import numpy as np
import pytest

import rac_jax
from rac_jax.view import dub
from rac_jax.view.cues import Cue


@pytest.mark.slow
@pytest.mark.parametrize("period_s,number", [(0.45, 14), (0.83, 7), (1.6, 5)])
def test_as_many_are_heard(tmp_path, period_s, number):
    rng = np.random.default_rng(number)
    times = 0.8 + period_s * (np.arange(number) + rng.uniform(-0.05, 0.05, number))
    strengths = rng.uniform(0.6, 1.0, number)
    marked = [Cue(float(t), float(s)) for t, s in zip(times, strengths, strict=True)]
    path = tmp_path / "dub.wav"
    dub.write_dub(path, marked, times[-1] + 1.5, dub.click())
    assert abs(rac_jax.load().count(path).rounded - number) <= 1
