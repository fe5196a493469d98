"""Windows as the compact counter cuts them: on the device as on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax import media
from rac_jax.models.compact import bands, window_batches
from rac_jax.scenes import SceneConfig

pytestmark = pytest.mark.usefixtures("quick_compiling")

SIGHT = SceneConfig(frames=64, height=16, width=16, max_cycles=32)
STILL = SceneConfig(frames=64, height=16, width=16, max_cycles=32, still=1.0)
SOUND = SceneConfig(frames=256, fps=30.0, period=(6, 60), max_cycles=64, still=0.0)
STRIDES = (1, 2, 4)


@pytest.fixture(scope="module")
def sight():
    scenes = window_batches.WindowScenes(((0.75, SIGHT), (0.25, STILL)))
    render = jax.jit(
        lambda key: window_batches.render_sight_windows(key, scenes, 16, 0.5)
    )
    return jax.device_get(render(jax.random.key(0)))


@pytest.fixture(scope="module")
def heard():
    scenes = window_batches.WindowScenes(((1.0, SOUND),), STRIDES)
    render = jax.jit(
        lambda key: window_batches.render_sound_windows(key, scenes, 12, 0.0)
    )
    return jax.device_get(render(jax.random.key(0)))


def test_sight_windows(sight):
    assert sight["windows"].shape == (16, 64, 16, 16)
    assert sight["windows"].dtype == np.uint8
    assert not sight["rate"][12:].any() and not sight["periodic"][12:].any()
    assert sight["rate"][:12].any()


def test_windows_that_end_early_repeat_their_last_frame(sight):
    frames = sight["windows"].astype(int)
    same = (np.diff(frames, axis=1) == 0).all((2, 3))  # [B, 63]
    tails = [63 - len(row.nonzero()[0]) for row in ~same]
    ended = [b for b in range(16) if tails[b] > 2 and same[b, -1]]
    assert 3 <= len(ended) <= 13
    for b in ended:
        assert sight["rate"][b, -1] == 0 and not sight["periodic"][b, -1]


def test_sound_windows_of_every_stride(heard):
    assert heard["windows"].shape == (12, 64, 4, 32)
    assert np.isfinite(heard["windows"]).all()
    rates = heard["rate"].reshape(4, 3, 64).max((0, 2))
    assert rates[2] > rates[0]  # more repetitions to a frame of a larger stride


def test_averages_of_columns_agree_with_the_hosts():
    rng = np.random.default_rng(0)
    columns = rng.normal(-8, 3, (900, 5)).astype(np.float32)
    edges = np.sort(rng.uniform(3, 890, 130))
    np.testing.assert_allclose(
        window_batches.average_columns(jnp.asarray(columns), jnp.asarray(edges)),
        bands.average_columns(columns, edges),
        atol=5e-3,
    )


def test_grey_agrees_with_the_hosts():
    frames = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    difference = window_batches.to_grey(frames).astype(int) - media.to_grey(frames)
    assert np.abs(difference).max() <= 1  # halves
