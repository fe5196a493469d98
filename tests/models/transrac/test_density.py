"""Counting by a density without a trained network: windows, sureness, samples, and clips of videos."""

import dataclasses

import jax
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models import find_family
from rac_jax.models.transrac import blended, layers, losses, recipe, sampled
from rac_jax.models.transrac.density_clips import DensityClips, density_of
from rac_jax.ops.density import density_map
from rac_jax.scenes import SceneConfig, render_scene
from rac_jax.train import training
from tests.models.transrac import tiny_run


def bumps(period, number, lead, frames, blur=1.0):
    """A density of so many cycles; `blur` widens every bump."""
    starts = lead + period * np.arange(number)
    middle = starts[:, None] + period / 2
    sigma = blur * period / 6
    t = np.arange(frames)[None] + 0.5
    each = np.exp(-0.5 * ((t - middle) / sigma) ** 2)
    return (each / each.sum(1, keepdims=True)).sum(0)


def test_windows_of_the_scales_overlap_by_half_and_cover_all_frames():
    assert layers.scale_starts(64, 1).tolist() == list(range(64))
    assert layers.scale_starts(64, 4)[[0, 1, -1]].tolist() == [-2, 0, 60]
    assert layers.scale_starts(64, 8)[[0, 1, -1]].tolist() == [-4, 0, 56]
    assert layers.scale_starts(64, 8, 2)[[0, -1]].tolist() == [-6, 54]
    clip = np.arange(1.0, 7.0, dtype=np.float32).reshape(1, 6, 1, 1, 1)
    cut = layers.cut_windows(clip, [-2, 0, 4], 4, "zeros")[0, :, :, 0, 0, 0]
    assert cut.tolist() == [[0, 0, 1, 2], [1, 2, 3, 4], [5, 6, 0, 0]]
    cut = layers.cut_windows(clip, [-2, 4], 4, "frames")[0, :, :, 0, 0, 0]
    assert cut.tolist() == [[1, 1, 1, 2], [5, 6, 6, 6]]
    mean = layers.moving_mean(clip, 4, "zeros")[0, :, 0, 0, 0]
    np.testing.assert_allclose(mean, [0.75, 1.5, 2.5, 3.5, 4.5, 3.75], atol=1e-6)


def test_frames_of_a_whole_video():
    assert sampled.sampled_indices(6, 3, 0).tolist() == [0, 2, 4]
    assert sampled.sampled_indices(6, 3, 1).tolist() == [1, 3, 5]
    assert sampled.sampled_indices(131, 64, 1)[[0, -1]].tolist() == [1, 130]
    assert sampled.sampled_indices(2, 4, 1).tolist() == [0, 1, 1, 1]


def test_a_long_stream_is_held_in_part(monkeypatch):
    monkeypatch.setattr(sampled, "MOST", 16)
    held = sampled.SampledFrames()
    frames = np.arange(101, dtype=np.uint8).reshape(-1, 1, 1, 1)
    for start in range(0, 101, 7):
        held.feed(frames[start : start + 7])
    indices = sampled.sampled_indices(101, 8, 0)
    window = held.window(indices)[:, 0, 0, 0].astype(int)
    assert np.abs(window - indices).max() <= 101 / 16
    assert held.seen == 101 and len(held._frames) <= 16


def steady(rates, frames=320):
    """Rates by stride, the same all along, as `blended.agreement` takes them."""
    return {stride: np.full(frames, rate) for stride, rate in rates.items()}


def test_a_rate_is_believed_as_far_as_other_strides_agree():
    everywhere = steady({1: 1.0, 2: 1.0, 4: 1.0})
    # Cycles of 20 frames, which all three show; one says half as many.
    found = blended.agreement(steady({1: 0.05, 2: 0.05, 4: 0.025}), everywhere, 64)
    apart = np.exp(-((np.log(2) / blended.APART) ** 2))
    np.testing.assert_allclose(found[1], (1 + apart) / 2)
    np.testing.assert_allclose(found[2], (1 + apart) / 2)
    np.testing.assert_allclose(found[4], apart)
    # The foreground of those that agree counts.
    half = steady({1: 1.0, 2: 0.5, 4: 0.25})
    found = blended.agreement(steady({1: 0.05, 2: 0.05, 4: 0.05}), half, 64)
    np.testing.assert_allclose(found[1], (0.5 + 0.25) / 2)
    # Cycles of 80 frames: stride 1 cannot show them, whatever it says.
    found = blended.agreement(steady({1: 1 / 80, 4: 1 / 80}), everywhere, 64)
    assert not found[1].any() and not found[4].any()
    # Where nothing is, nobody is sure.
    found = blended.agreement(steady({1: 0.0, 2: 0.0}), everywhere, 64)
    assert not found[1].any()


def test_strides_that_agree_are_believed():
    """Cycles of 40 frames: too slow for stride 1, seen by 2 and 4, half of them by 8."""
    frames, window = 400, 64
    rows = {}
    for stride, (share, sure) in {
        1: (0.1, 0.3),
        2: (1.0, 0.9),
        4: (1.0, 0.9),
        8: (0.5, 0.6),
    }.items():
        number = frames // stride
        density = share * bumps(40 / stride, 8, 20 / stride, number)
        place = np.arange(number) * stride
        foreground = np.where((place >= 20) & (place < 340), sure, 0.05)
        rows[stride] = np.stack([density, foreground], -1)
    found = blended.count(rows, frames, window)
    inside = slice(60, 300)
    assert np.isin(found.stride[inside], (2, 4)).mean() > 0.95
    assert found.rate.sum() == pytest.approx(8, abs=0.5)
    assert not found.rate[350:].any()
    alone = blended.count({4: rows[4]}, frames, window)
    assert alone.rate.sum() == pytest.approx(8, abs=0.3)


@pytest.mark.usefixtures("quick_compiling")
def test_a_scene_s_density_leaves_out_what_its_stride_cannot_show():
    config = SceneConfig(
        frames=64, height=16, width=16, period=(9.0, 10.0), still=0.0, pause=0.0
    )
    found, count, inside = picked(config)
    assert float(found["rate"].sum()) == pytest.approx(float(count), abs=0.1)
    np.testing.assert_array_equal(found["periodic"], inside)
    slow = dataclasses.replace(config, period=(90.0, 95.0), cut=1.0)
    found, count, _ = picked(slow)
    assert count > 0.3 and not found["rate"].any() and not found["periodic"].any()


def picked(config):
    """What is taken of a scene, its count, and which frames repeat."""

    @jax.jit
    def look(key):
        scene = render_scene(key, config)
        found = losses.pick(key, scene)
        # Not the frames, so that they are not compiled.
        labels = {name: found[name] for name in ("rate", "periodic")}
        return labels, scene.count, scene.periodicity

    return look(jax.random.key(3))


def labelled(cycles, frames=100, count=None):
    values = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    cycles = None if cycles is None else np.asarray(cycles, np.float32)
    return LabelledVideo(
        "v",
        np.broadcast_to(values, (frames, 4, 4, 3)),
        25.0,
        count=float(len(cycles)) if count is None else count,
        cycles=cycles,
    )


def test_the_host_s_density_is_the_device_s():
    cycles = np.array([[2.0, 9.5], [9.5, 14.0], [11.0, 30.0]])
    found = density_of(cycles, np.arange(41.0))
    wanted = density_map(cycles.astype(np.float32), np.ones(3, bool), 40)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_clips_of_the_whole_video_count_all_its_cycles():
    cycles = [[10.0 * k, 10.0 * k + 10] for k in range(10)]
    whole = DensityClips(frames=16, size=4, cut="whole", strides=(1,))
    example = whole(labelled(cycles), np.random.default_rng(0))
    assert example["rate"].sum() == pytest.approx(10, abs=0.05)
    assert example["count"] == pytest.approx(10, abs=0.05) and example["known"]
    shown = example["windows"][:, 0, 0, 0]
    assert shown.tolist() == [k * 100 // 16 for k in range(16)]
    # Cycles that fall on one frame are added.
    quick = [[2.0 * k, 2.0 * k + 2] for k in range(50)]
    dense = whole(labelled(quick), np.random.default_rng(0))
    assert dense["rate"].sum() == pytest.approx(50, abs=0.2)
    # A count alone.
    bare = whole(labelled(None, count=7.0), np.random.default_rng(0))
    assert bare["count"] == 7 and not bare["known"] and not bare["rate"].any()
    short = whole(labelled([[1.0, 8.0]], frames=9), np.random.default_rng(0))
    assert short["rate"].sum() == pytest.approx(1, abs=0.05)
    assert not short["periodic"][9:].any()


def test_parts_of_a_video_keep_what_their_stride_shows():
    cycles = [[10.0 * k, 10.0 * k + 10] for k in range(10)]
    parts = DensityClips(frames=16, size=4, cut="parts", strides=(1, 2, 4, 8))
    seen = set()
    for seed in range(30):
        example = parts(labelled(cycles), np.random.default_rng(seed))
        shown = example["windows"][:, 0, 0, 0].astype(int)
        stride = int(np.diff(shown)[0])
        seen.add(stride)
        # Cycles of 10 frames: over 0.6 of 16 frames at stride 1, under 2.5 at stride 8.
        assert bool(example["rate"].any()) == (stride in (2, 4)), stride
        if stride == 2:
            assert example["rate"].sum() == pytest.approx(3.2, abs=0.5)
    assert seen == {1, 2, 4, 8}
    for name, blank in parts.blank().items():
        assert np.shape(blank) == np.shape(example[name])
        assert np.asarray(blank).dtype == np.asarray(example[name]).dtype


@pytest.mark.slow
@pytest.mark.parametrize("family", ["transrac", "lmrl"])
def test_the_papers_networks_train_for_two_steps(family, tmp_path):
    """Video Swin and the published parts, narrow, on windows of videos with cycles."""
    fields = {
        "model.encoder": "video_swin",
        "model.width": 1 / 12,
        "model.places": 3,
        "data.size": 32,
        "windows.examples": "whole",
        "windows.epoch_steps": 0,
    }
    config = tiny_run.tiny_config(family, fields)
    trained = training.train(find_family(family), config, tmp_path)
    assert recipe.STAGE in trained.run.config
    assert set(trained.report["estimators"]) == {"sight", "always the median"}
