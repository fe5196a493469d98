"""The smallest config of every trainable family: two steps a stage, a few small scenes."""

import functools

import ml_collections

from rac_jax.data.labelled import LabelledVideo
from rac_jax.train import splits
from rac_jax.train.run import Run
from tests.models.classifier import tiny_run as classifier_run
from tests.models.compact import tiny_run as compact_run
from tests.models.listen_to_look import tiny_run as student_run
from tests.models.optical_flow import tiny_run as flow_run
from tests.models.repnet import tiny_run as repnet_run
from tests.models.sien import tiny_run as sien_run
from tests.models.skeleton_phases import tiny_run as skeleton_run
from tests.models.ta2net import tiny_run as event_run
from tests.models.transrac import tiny_run as density_run
from tests.train import toy


def _sight_sound() -> ml_collections.ConfigDict:
    config = toy.toy_config()
    config.update_from_flattened_dict({"sight.epochs": 1, "sound.epochs": 1})
    return config


TINY = {
    "classifier": classifier_run.tiny_config,
    "compact": compact_run.tiny_config,
    "listen_to_look": student_run.tiny_config,
    "lmrl": functools.partial(density_run.tiny_config, "lmrl"),
    "optical_flow": flow_run.tiny_config,
    "repnet": repnet_run.tiny_config,
    "sien": sien_run.tiny_config,
    "sight_sound": _sight_sound,
    "skeleton_phases": skeleton_run.tiny_config,
    "ta2net": event_run.tiny_config,
    "transrac": functools.partial(density_run.tiny_config, "transrac"),
}


def measured_video(run: Run, index: int) -> LabelledVideo:
    """A test video of a run, as it was measured."""
    return splits.open_source(run.config.data, "test")[index]
