"""Batches are cut from scenes as the counter cuts videos."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound import preprocessing, scene_batches
from rac_jax.models.sight_sound.columns import SpectrogramReader
from rac_jax.scenes import SceneConfig

pytestmark = pytest.mark.usefixtures("quick_compiling")

SCENES = SceneConfig(height=20, width=20, period=(8, 20), cut=0.5, max_cycles=16)


def test_normalise_is_imagenets():
    frames = jnp.asarray([[[0, 128, 255]]], jnp.uint8)
    expected = (np.array([0, 128, 255]) / 255 - preprocessing.MEAN) / preprocessing.STD
    np.testing.assert_allclose(
        scene_batches.normalise(frames)[0, 0], expected, rtol=1e-5
    )


def test_clips_end_early_and_count_only_what_is_shown():
    def render(key):
        return scene_batches.render_clip(key, SCENES, padded=0.5)

    keys = jax.random.split(jax.random.key(1), 16)
    batch = jax.tree.map(np.asarray, jax.jit(jax.vmap(render))(keys))
    assert batch["clip"].shape == (16, 64, 20, 20, 3)
    assert batch["clip"].dtype == np.uint8 and batch["mask"].all()
    np.testing.assert_allclose(batch["count"], batch["rate"].sum(1), rtol=1e-5)
    shown = batch["real"].sum(1)
    assert (shown >= scene_batches.SHORTEST_CLIP).all()
    assert (shown < 64).any() and (shown == 64).any()
    for real, rate, length in zip(batch["real"], batch["rate"], shown, strict=True):
        assert real[:length].all() and (rate[length:] == 0).all()


@pytest.mark.parametrize(
    ("first", "length"), [(0, 500), (700, 500), (0, 900), (37, 763)]
)
def test_spectrograms_are_cut_as_the_counter_cuts(first, length):
    # 900 columns of noise.
    samples = np.random.default_rng(0).normal(size=512 + 899 * 159).astype(np.float32)
    columns = scene_batches.scene_spectrogram(jnp.asarray(samples))
    cut = scene_batches.cut_spectrogram(columns, first, length)
    # The counter pads the native window that hangs over the end.
    positions = clip_index.span_columns(first, min(first + length, 900), 900)
    expected = SpectrogramReader(samples).read(positions)
    np.testing.assert_allclose(cut, expected, atol=5e-4)


def test_silence_is_zeros():
    assert not scene_batches.scene_spectrogram(jnp.zeros(4096)).any()
    noise = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    assert float(jnp.std(scene_batches.scene_spectrogram(noise))) == pytest.approx(
        1, 1e-3
    )


def test_rendered_spectrograms_count_what_they_cover():
    config = SceneConfig(
        frames=150, height=8, width=8, period=(10, 30), max_cycles=24, still=0.0
    )

    def render(key):
        return scene_batches.render_spectrograms(key, config, highest=20.0, windows=2)

    keys = jax.random.split(jax.random.key(0), 3)
    batch = jax.tree.map(np.asarray, jax.jit(jax.vmap(render))(keys))
    assert batch["spectrogram"].shape == (3, 2, 257, 500)
    first, second = np.moveaxis(batch["spectrogram"], 1, 0)
    assert (first != second).any(axis=(1, 2)).all()  # each its own part of the scene
    assert (batch["label"][:, 0] == batch["label"][:, 1]).all()
    batch = {name: x.reshape(-1, *x.shape[2:]) for name, x in batch.items()}
    np.testing.assert_allclose(batch["count"], batch["rate"].sum(1), rtol=1e-4)
    assert (batch["count"] <= 150 / 10 + 1).all() and batch["count"].max() > 1
    for columns, rate, real in zip(
        batch["spectrogram"], batch["rate"], batch["columns"], strict=True
    ):
        assert (columns[:, real:] == 0).all() and columns[:, :real].any(0).all()
        assert np.abs(rate[real:]).max(initial=0) < 1e-3


def test_rendered_spectrograms_are_squeezed_to_two_repetitions():
    # A repetition takes 60 frames at 25 per second, 333 columns: two do not fit into 500.
    config = SceneConfig(
        frames=240, height=8, width=8, period=(60, 60.1), max_cycles=24, still=0.0
    )

    def render(key):
        return scene_batches.render_spectrograms(key, config, highest=None, windows=4)

    batch = jax.tree.map(np.asarray, jax.jit(render)(jax.random.key(0)))
    assert batch["columns"].min() > 300
    whole = batch["columns"] == 500
    assert whole.any() and batch["count"][whole] == pytest.approx(2.0, abs=0.15)
