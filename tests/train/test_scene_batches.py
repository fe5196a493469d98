"""Batches are cut from scenes as the counter cuts videos."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.data import clips as clip_index
from rac_jax.scenes import SceneConfig
from rac_jax.train import scene_batches, scene_records

SCENES = SceneConfig(height=20, width=20, period=(8, 20), cut=0.5, max_cycles=16)


def test_normalise_is_imagenets():
    frames = jnp.asarray([[[0, 128, 255]]], jnp.uint8)
    expected = (np.array([0, 128, 255]) / 255 - scene_batches.MEAN) / scene_batches.STD
    np.testing.assert_allclose(
        scene_batches.normalise(frames)[0, 0], expected, rtol=1e-5
    )


@functools.cache
def clips():
    render = jax.jit(
        lambda key: scene_batches.render_clips(key, SCENES, 16, padded=0.5)
    )
    return jax.tree.map(np.asarray, render(jax.random.key(1)))


def test_clips_end_in_zeros_and_count_only_what_is_shown():
    batch = clips()
    assert batch.clips.shape == (16, 64, 20, 20, 3)
    np.testing.assert_allclose(batch.counts, batch.rate.sum(1), rtol=1e-5)
    shown = (batch.clips != 0).any((2, 3, 4)).sum(1)
    assert (shown >= scene_batches.SHORTEST_CLIP).all()
    assert (shown < 64).any() and (shown == 64).any()
    for i, n in enumerate(shown):
        assert (batch.clips[i, n:] == 0).all() and (batch.rate[i, n:] == 0).all()


@pytest.mark.parametrize(
    ("first", "length"), [(0, 500), (700, 500), (0, 900), (37, 763)]
)
def test_spectrograms_are_cut_as_the_counter_cuts(first, length):
    columns = np.random.default_rng(0).normal(size=(5, 900)).astype(np.float32)
    cut = scene_batches.cut_spectrogram(jnp.asarray(columns), first, length)
    # The counter pads the native window that hangs over the end.
    positions = clip_index.span_columns(first, min(first + length, 900), 900)
    expected = scene_records.gather_columns(jnp.asarray(columns), positions[None])[0]
    np.testing.assert_allclose(cut, expected, atol=1e-3)


def test_gather_reads_fractions_and_pads():
    columns = jnp.asarray([[1.0, 2.0, 4.0]])
    positions = np.array([[0.0, 0.5, 1.25, 2.0, 2.5, 3.0, -1.0]])
    gathered = scene_records.gather_columns(columns, positions)
    np.testing.assert_allclose(gathered[0, 0], [1, 1.5, 2.5, 4, 2, 0, 0])


def test_spectrogram_batches_count_what_they_cover():
    config = SceneConfig(
        frames=150, height=8, width=8, period=(10, 30), max_cycles=24, still=0.0
    )
    render = jax.jit(
        lambda key: scene_batches.render_spectrograms(key, config, 6, highest=20.0)
    )
    batch = jax.tree.map(np.asarray, render(jax.random.key(0)))
    assert batch.spectrograms.shape == (6, 257, 500)
    np.testing.assert_allclose(batch.counts, batch.rate.sum(1), rtol=1e-4)
    assert (batch.counts <= 150 / 10 + 1).all() and batch.counts.max() > 1
    silent = (batch.spectrograms == 0).all(1)
    # A column of padding has no repetitions.
    assert np.abs(batch.rate[silent]).max(initial=0) < 1e-3


def test_cuts_of_a_scene():
    config = SceneConfig(frames=320, period=(10, 30))
    cuts = scene_records.cut_scene(config, (1, 2, 5))
    assert list(cuts.strides) == [1] * 5 + [2] * 3 + [5]
    assert list(cuts.valid) == [64] * 5 + [64, 64, 32] + [64]
    assert cuts.spans.shape == (9, 500) and cuts.segments.shape[1] == 500
    assert list(cuts.squeeze) == [1, 1, 1, 1, 2, 2, 4]


def test_sound_is_squeezed_until_segments_hold_two_repetitions():
    cuts = scene_records.cut_scene(SceneConfig(frames=320), (1,))
    counts = np.array(
        [[3.0, 3, 3, 2, 9, 9, 9], [1, 1, 0, 1, 4, 4, 9], [0, 0, 0, 0, 1, 1, 5]]
    )
    np.testing.assert_allclose(
        scene_records.sound_counts(counts, cuts), [11.0, 8.0, 5.0]
    )


def test_stride_sums():
    cuts = scene_records.cut_scene(SceneConfig(frames=200), (1, 3))
    counts = np.array([[1.0, 2, 3, 4, 5, 6]])
    np.testing.assert_allclose(
        scene_records.stride_sums(counts, cuts, (1, 3)), [[10.0, 11.0]]
    )
