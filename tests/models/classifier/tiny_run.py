"""The recipe of classifiers at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections
import numpy as np

from rac_jax.cli import train
from rac_jax.data.labelled import LabelledVideo
from rac_jax.media import encode
from rac_jax.models.classifier import FAMILY
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run
from tests.conftest import knocks, moving_square

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "pretrain.py"
FIELDS = {
    "model.width": 0.0625,
    "clips.frames": 4,
    "clips.size": 16,
    "data.size": 20,
    "evaluation.clips": 2,
    "classify.epochs": 1,
    "classify.epoch_steps": 2,
    "classify.batch": 4,
}


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(fields: dict[str, Any] | None = None) -> ml_collections.ConfigDict:
    """Seconds of training on scenes; `fields` by their dotted names."""
    config, chosen = load_config("quick"), dict(FIELDS)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.number"] = 3
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config


def run_of(config: ml_collections.ConfigDict, folder: pathlib.Path) -> Run:
    """A run that has not begun."""
    network = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), network, mesh.make_mesh(), stop)


def video_config(
    folder: pathlib.Path, sound: bool = False
) -> ml_collections.ConfigDict:
    """A config that learns from the videos below a folder, two classes of them."""
    config = tiny_config({"classify.examples": "videos", "classify.epoch_steps": 0})
    config.classes, config.model.classes = (), 2
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "folder", "path": str(folder)})
    if sound:
        config.model.update({"encoder": "resnet18", "input": "sound"})
        config.sound.columns = 64
        config.classify.augment.update({"rows": 8, "columns": 8, "mixup": 0.2})
    return config


def write_videos(folder: pathlib.Path, each: int = 2) -> pathlib.Path:
    """Videos of a square that is slow or fast, with knocks likewise, in folders of these names."""
    for name, period in (("fast", 6.0), ("slow", 24.0)):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            encode.write_video(
                folder / name / f"{number}.mp4",
                moving_square(50, 32, 48, period + number),
                25,
                knocks(2.0, 22050, period / 25),
                22050,
            )
    return folder


class NumberedVideos:
    """Videos in memory; frame t of every one has value t."""

    def __init__(self, labels: tuple[str, ...], frames: int = 12):
        self.labels, self.frames = labels, frames

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        return f"video {index}"

    def __getitem__(self, index: int) -> LabelledVideo:
        values = np.arange(self.frames, dtype=np.uint8)[:, None, None, None]
        frames = np.broadcast_to(values, (self.frames, 20, 20, 3))
        label = self.labels[index]
        return LabelledVideo(f"v{index}", frames, 25.0, count=0.0, label=label)
