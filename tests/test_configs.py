"""Every config loads, holds plain values, and passes its checks."""

import ml_collections
import pytest

from rac_jax.models.sight_sound.recipe import RECIPE
from rac_jax.train import run as runs
from tests.train import toy

STAGES = {stage.name: stage for stage in RECIPE.stages}
VARIANTS = ("", "released", "scenes", "small")


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_sound(variant, tmp_path):
    config = toy.load_config(variant)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,start_s,end_s,count\na.mp4,,,3\n")
    for split in ("train", "val", "test"):
        if config.data[split].kind == "csv":
            config.data[split].path = str(labels)
    run = toy.make_run(config, tmp_path)
    runs.check_stages(run)
    RECIPE.check(run)

    def plain(value):
        if isinstance(value, ml_collections.ConfigDict):
            return all(plain(inner) for inner in value.values())
        if isinstance(value, tuple):
            return all(plain(inner) for inner in value)
        return isinstance(value, bool | int | float | str)

    assert plain(config)


def test_the_papers_numbers():
    config = toy.load_config("")
    assert config.sight.epochs == 8 and config.sound.epochs == 20
    assert config.stride.epochs == 5 and config.reliability.epochs == 20
    assert {s.batch for s in (config.sight, config.sound, config.reliability)} == {8}
    assert config.sight.optimiser.learning_rate == 1e-4
    assert config.stride.optimiser.learning_rate == 1e-3
    assert config.reliability.optimiser.learning_rate == 1e-4
    assert config.loss.relative == config.loss.diversity_weight == 10.0
    assert config.stride.strides == tuple(range(1, 9))
    assert config.counting.max_stride == 5
    assert (config.stride.threshold, config.stride.margin) == (0.29, 2.9)
    thresholds = config.reliability.sight_threshold, config.reliability.sound_threshold
    assert thresholds == (0.36, 0.40)
    assert (config.model.sight_classes, config.model.sound_classes) == (41, 43)
    assert config.loss.diversity == "paper" and config.data.size == 112


def test_the_released_numbers():
    config = toy.load_config("released")
    for stage in STAGES:
        optimiser = config[stage].optimiser
        assert (optimiser.momentum, optimiser.weight_decay) == (0.9, 1e-4)
    assert config.loss.diversity == "released"
    assert config.stride.strides == tuple(range(1, 8))
    assert (config.stride.threshold, config.stride.margin) == (0.3, 1.0)
    alone = config.sight_stride
    assert (alone.threshold, alone.margin) == (0.29, 2.9)
    assert all(one.epochs == 15 and one.batch == 2 for one in (alone, config.stride))
    assert config.sound.epochs == 30 and config.sound.squeeze == "released"
    assert config.sight.augment.flip == 0.0
    reliability = config.reliability
    assert (reliability.epochs, reliability.optimiser.learning_rate) == (15, 1e-3)
    assert (reliability.stride, reliability.push) == ("random", 0.17)
    assert reliability.whole_sound and reliability.augment_sound
    assert config.counting.protocol == "released"
    assert config.data.interpolation == "bilinear"
    assert all(config[stage].keep_best for stage in STAGES)
    assert config.stride.positive == "released"
    assert "sound_encoder/stage3" in config.sound.trained


def test_an_unknown_variant_lists_the_known():
    with pytest.raises(
        ValueError, match="no variant 'big'; there are: released, scenes"
    ):
        toy.load_config("big")


def test_what_a_stage_depends_on():
    config = toy.load_config("small")

    def identities():
        return {name: runs.identity(config, stage) for name, stage in STAGES.items()}

    before = identities()
    config.reliability.sight_threshold = 0.3
    config.sight.log_steps = 1
    config.data.workers = 7
    config.data.test.number = 1
    after = identities()
    changed = [stage for stage in STAGES if before[stage] != after[stage]]
    assert changed == ["reliability"]
    config.sight.optimiser.learning_rate = 1.0
    found = identities()["sight"]
    assert found["sight.optimiser.learning_rate"] == 1.0
    assert "sight.optimiser.learning_rate" not in identities()["sound"]
    assert found["stride.strides"] == [1, 2, 3, 4, 5]
    assert found["stride.positive"] == "two_repetitions"
    assert "stride.margin" not in found


def test_every_stage_reads_what_the_ones_before_were_made_of():
    config = toy.load_config("small")
    found = [set(runs.identity(config, stage)) for stage in RECIPE.stages]
    sight, sound, sight_stride, stride, reliability = found
    assert sight | sound <= sight_stride <= stride <= reliability
    assert all(name in sight for name in ("seed", "data.size", "data.audio_rate"))
