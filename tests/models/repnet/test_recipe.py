"""RepNet's losses and windows against what is known of them, and its settings."""

import dataclasses

import jax
import numpy as np
import pytest

from rac_jax.data.labelled import LabelledVideo
from rac_jax.media import encode
from rac_jax.models.repnet import FAMILY, losses, recipe
from rac_jax.models.repnet.network import RepNetOutput
from rac_jax.models.repnet.repeated_clips import RepeatedClips
from rac_jax.ops import window_augment as augment
from rac_jax.train import loop, mesh, splits, training
from rac_jax.train.run import Run, check_stages
from tests.conftest import moving_square
from tests.models.repnet import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


def run_of(config, folder):
    network = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), network, mesh.make_mesh(), stop)


def test_targets_by_hand():
    # Periods of 4, 4.25, 12 (too slow for 9 classes), 1.5 (too fast), and none.
    rate = np.array([[1 / 4, 1 / 4.25, 1 / 12, 1 / 1.5, 0.0]], np.float32)
    periodic = rate > 0
    found = losses.period_targets(rate, periodic, 9, 0)
    assert found.period_mask.tolist() == [[1, 1, 0, 0, 0]]
    assert found.periodicity.tolist() == [[1, 1, 0, 0, 0]]
    assert found.periodicity_mask.tolist() == [[1, 1, 1, 1, 1]]
    np.testing.assert_allclose(found.periods[0, 0], np.eye(9)[4], atol=1e-5)
    want = 0.75 * np.eye(9)[4] + 0.25 * np.eye(9)[5]
    np.testing.assert_allclose(found.periods[0, 1], want, atol=1e-5)
    # The release of 2020 counts its classes from 1.
    shifted = losses.period_targets(rate, periodic, 9, 1)
    np.testing.assert_allclose(shifted.periods[0, 0], np.eye(9)[3], atol=1e-5)
    # At the end of the classes nobody knows.
    edge = losses.period_targets(np.full((1, 1), 1 / 8.5), np.ones((1, 1), bool), 9, 0)
    assert edge.periodicity_mask.tolist() == [[0]]


def test_loss_by_hand():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 4)).astype(np.float32)
    inside = rng.normal(size=(2, 3)).astype(np.float32)
    targets = losses.PeriodTargets(
        rng.dirichlet(np.ones(4), (2, 3)).astype(np.float32),
        np.array([[1, 0, 1], [1, 1, 1]], bool),
        np.array([[1, 0, 1], [0, 1, 1]], np.float32),
        np.array([[1, 1, 0], [1, 1, 1]], bool),
    )
    mask = np.array([True, False])
    output = RepNetOutput(logits, inside, None)
    loss, terms = losses.repnet_loss(output, targets, mask, 2.0)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    cross = -(targets.periods * log).sum(-1)[0]
    p = 1 / (1 + np.exp(-inside[0]))
    period = (cross[0] + cross[2]) / 2
    periodicity = (-np.log(p[0]) - np.log(1 - p[1])) / 2
    assert float(loss) == pytest.approx(period + 2 * periodicity, rel=1e-5)
    assert float(terms["period"].value()) == pytest.approx(period, rel=1e-5)


def test_a_camera_that_stands_changes_nothing_and_one_that_moves_does():
    frames = np.random.default_rng(0).uniform(-1, 1, (2, 6, 12, 12, 3))
    frames = frames.astype(np.float32)
    still = augment.camera_motion(jax.random.key(0), frames, 0.0)
    np.testing.assert_allclose(still, frames, atol=1e-5)
    moved = np.asarray(augment.camera_motion(jax.random.key(0), frames, 0.3))
    assert np.abs(moved - frames).mean() > 0.1
    assert moved.min() >= -1 and moved.max() <= 1
    lit = np.asarray(augment.colours(jax.random.key(1), frames))
    assert lit.shape == frames.shape and np.abs(lit).max() <= 1


def numbered_video(frames=100):
    """Frame t has value t everywhere."""
    values = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return LabelledVideo(
        "v", np.broadcast_to(values, (frames, 4, 4, 3)), 25.0, count=0.0
    )


def test_clips_are_repeated_at_the_rate_that_is_told():
    sampler = RepeatedClips(frames=64, size=4, longest=20.0, still=0.0, reverse=0.0)
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        example = sampler(numbered_video(), rng)
        inside, rate = example["periodic"], example["rate"]
        assert inside.any() and (rate[inside] > 0).all() and not rate[~inside].any()
        period = 1 / rate[inside][0]
        assert 2 <= period <= 20 and rate.sum() > 1.5
        # Where a period is a whole number of frames, frames come again exactly.
        shown = example["windows"][:, 0, 0, 0][inside].astype(int)
        near = round(period)
        if abs(period - near) < 0.02 and len(shown) > near:
            again = np.abs(shown[near:] - shown[:-near])
            assert np.median(again) <= 1
            seen += 1
    assert seen


def test_still_windows_and_short_videos():
    still = RepeatedClips(frames=16, size=4, longest=8.0, still=1.0)
    example = still(numbered_video(), np.random.default_rng(0))
    assert not example["periodic"].any()
    values = example["windows"][:, 0, 0, 0].astype(int)
    assert (np.abs(np.diff(values)) <= 4).all() and np.ptp(values) > 4
    one = RepeatedClips(frames=16, size=4, longest=8.0, still=0.0)
    example = one(numbered_video(1), np.random.default_rng(0))
    assert not example["rate"].any()
    for name, blank in one.blank().items():
        assert blank.shape == example[name].shape and blank.dtype == example[name].dtype


@pytest.mark.parametrize("variant", ["", "small"])
def test_variants_are_sound(variant, tmp_path):
    run = run_of(tiny_run.load_config(variant), tmp_path)
    check_stages(run)
    recipe.check(run)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("windows.examples", "x", "windows.examples: 'x' is not one of scenes, rep"),
        ("windows.camera", 2.0, "windows.camera: 2.0 is not from 0 to 1"),
        ("windows.epoch_steps", 0, "windows.epoch_steps: must be above 0"),
        ("data.val.kind", "x", "data.val.kind: 'x' is not one of"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = tiny_run.tiny_config({field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(run_of(config, tmp_path))


@pytest.mark.slow
def test_a_folder_without_labels_is_learned_from(tmp_path):
    """`unlabelled`: every video of a folder, its own repetitions unknown."""
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    for place, path in enumerate((folder / "a.mp4", folder / "deep" / "b.mp4")):
        encode.write_video(path, moving_square(60, 32, 48, 8.0 + place), 25)
    (folder / "notes.txt").write_text("no video")
    config = tiny_run.tiny_config({"windows.examples": "repeated_clips"})
    config.data.train.update({"kind": "folder", "path": str(folder), "parts": {}})
    config.windows.camera = 0.1
    run = run_of(config, tmp_path / "run")
    recipe.check(run)
    source = splits.open_source(config.data, "train")
    assert len(source) == 2 and source[1].count == 0.0
    trained = training.train(FAMILY, config, tmp_path / "run")
    assert (tmp_path / "run" / "evaluation.json").exists()
    before = FAMILY.initialise(run.network, jax.random.key(0))
    assert jax.tree.structure(before) == jax.tree.structure(trained.variables)
    with pytest.raises(ValueError, match="data.train.path: .* is no folder"):
        config.data.train.path = str(tmp_path / "none")
        recipe.check(dataclasses.replace(run, config=config))
