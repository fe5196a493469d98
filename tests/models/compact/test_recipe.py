"""Training the compact counter at toy size: its stages run, go on, and leave a model."""

import json

import numpy as np
import pytest

import rac_jax
from rac_jax.counting.programs import abstract_variables
from rac_jax.models.compact import FAMILY, calibration, recipe
from rac_jax.train import splits, training
from tests.models.compact.tiny_run import STAGES, load_config, make_run, tiny_config

pytestmark = pytest.mark.usefixtures("quick_compiling")

# Finds something in what has learned nothing, and scenes with and without sound.
FIELDS = {
    "decoding.score": 0.0,
    "decoding.least_count": 0.0,
    "decoding.nothing": 0.0,
    "data.test.parts.brief.number": 4,
    "data.test.parts.short.number": 2,
    "data.test.parts.brief.sound_damage": 0.9,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compact")
    return training.train(FAMILY, tiny_config(FIELDS), folder)


def test_it_leaves_a_model_that_counts(trained, clip):
    counter = rac_jax.load(trained.export)
    result = counter.count(clip)
    assert np.isfinite(result.count) and 0 <= result.confidence <= 1
    config = counter.config
    assert config["family"] == "compact" and config["training"]["seed"] == 0
    estimators = config["accuracy"]["estimators"]
    assert set(estimators) == {"sight", "sound", "average", "fused"}
    assert config["confidence"] == trained.report["confidence"]


def test_the_measurement_is_the_counters(trained):
    """What the evaluation says of every video is what `count` says of it."""
    run = trained.run
    counter = trained.counter()
    source = splits.open_source(run.config.data, "test")
    videos = trained.report["videos"]
    assert len(videos) == len(source) == 6
    silent, counts = 0, []
    for index, row in enumerate(videos):
        video = source[index]
        assert row["video_id"] == video.video_id
        result = counter.count(
            video.frames,
            fps=video.fps,
            waveform=video.waveform,
            audio_rate=video.audio_rate or None,
        )
        assert row["fused"] == pytest.approx(result.count, abs=1e-4)
        counts.append(result.count)
        assert row["sight"] == pytest.approx(result.stream("sight").count, abs=1e-4)
        heard = result.stream("sound")
        silent += heard is None
        count = 0.0 if heard is None else heard.count
        weight = 0.0 if heard is None else heard.weight
        assert row["sound"] == pytest.approx(count, abs=1e-4)
        assert row["reliability"] == pytest.approx(weight, abs=1e-4)
    # Some sets of so poor a model are of pictures that do not return.
    assert 0 < silent < 6 and np.count_nonzero(counts) >= 3


def test_finished_stages_are_not_run_again(trained):
    workdir = trained.run.workdir
    files = [*workdir.rglob("finished.json"), *workdir.rglob("posteriors/*")]
    times = {path: path.stat().st_mtime_ns for path in files}
    assert len(times) == 6
    assert {path.parent.name for path in times} == {*STAGES, "posteriors"}
    training.train(FAMILY, tiny_config(FIELDS), workdir)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_other_settings_need_another_workdir(trained):
    config = tiny_config(FIELDS | {"sight.padded": 0.5})
    with pytest.raises(ValueError, match=r"sight\.padded"):
        training.train(FAMILY, config, trained.run.workdir)


def test_the_measurement_has_the_confidence(trained):
    table = json.loads((trained.run.workdir / "evaluation.json").read_text())
    table = table["confidence"]
    for kind in ("positive", "negative"):
        assert table[f"{kind}_score"] == sorted(table[f"{kind}_score"])
        assert table[kind] == sorted(table[kind])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sound.scenes.all.frames", 100, "100 frames are too few for stride 2"),
        ("sight.epoch_steps", 0, "sight.epoch_steps: must be above 0"),
        ("decoder.epoch_steps", 0, "decoder.epoch_steps: must be above 0"),
        ("data.val.parts.brief.fps", 0.0, "fps: 0.0 is not positive"),
        ("sound.batch", 3, "sound.batch: 3 is not a multiple of the 2 strides"),
        ("sight.scenes.slow.tempo", 1.0, "scenes.tempo: no such field"),
        ("decoding.jump", -1.0, "decoding.jump: must be at least 0"),
        ("decoding.least", 1.0, "decoding.least: no such field"),
        ("data.test.kind", "film", "data.test.kind: 'film' is not one of"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, field, value, message):
    with pytest.raises(ValueError, match=message):
        recipe.check(make_run(tiny_config({field: value}), tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variant", ["", "quick"])
def test_the_configs_are_sound(variant, tmp_path):
    recipe.check(make_run(load_config(variant), tmp_path))


def test_every_group_is_left_by_one_stage():
    network = FAMILY.network()
    groups = abstract_variables(network, FAMILY.example_inputs(network))["params"]
    left = [group for stage in recipe.RECIPE.stages for group in stage.leaves]
    assert sorted(left) == sorted(groups)


def test_calibration_rises_with_the_score():
    rng = np.random.default_rng(0)
    score = np.linspace(0, 1, 200)
    right = rng.random(200) < score
    knots, shares = calibration.calibrate(score, right)
    assert shares == sorted(shares) and len(knots) == 12
    np.testing.assert_allclose(
        np.interp([0.2, 0.8], knots, shares), [0.2, 0.8], atol=0.2
    )


def test_the_confidence_tells_sets_from_none():
    """Right is off by one at most; without examples the table says a half."""
    counts = np.array([5.0, 6.4, 9.0, 2.0])
    labels = np.array([5.0, 5.0, 5.0, 3.0])
    score = np.array([0.9, 0.8, 0.1, 0.7])
    found = np.ones(4, bool)
    table = calibration.confidence_table(counts, score, found, labels)
    assert table["positive_score"] == [0.1, 0.7, 0.8, 0.9]
    np.testing.assert_allclose(
        table["positive"], [1 / 6, 5 / 6, 5 / 6, 5 / 6], atol=1e-4
    )
    assert table["negative"] == [0.5, 0.5]
