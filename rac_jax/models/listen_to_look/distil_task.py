"""What the student learns: to say of one frame and a second of sound what its teacher says of a clip.

The teacher is a trained classifier of clips (`configs/pretrain.py`), kept as parameters that do
not change and are not exported. Clips come from labelled videos, or are scenes rendered in the
step; the student is given the first frame of each and the second of sound that begins with it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.listen_to_look import distillation
from rac_jax.models.listen_to_look.student import AUDIO, IMAGE
from rac_jax.ops import augment, mel_patches
from rac_jax.scenes import render_scene
from rac_jax.train.class_scores import METRICS, class_scores
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, Examples, RenderedExamples, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.splits import scene_config

STAGE = "distil"
TEACHER = "teacher"
GROUPS = ("image", "audio", "fusion", "classifier")


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained classifier of clips.

    Attributes:
      network: called with normalised clips [B, T, H, W, 3]; its output has `features`, `logits`.
      variables: of it.
      config: its `config.json`.
    """

    network: nn.Module
    variables: Variables
    config: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return tuple(self.config["class_names"])

    @property
    def features(self) -> int:
        """C, of a clip."""
        side, frames = self.setting("size"), self.setting("clip_frames")
        clips = jax.ShapeDtypeStruct((1, frames, side, side, 3), jnp.float32)
        said = jax.eval_shape(self.network.apply, self.variables, clips)
        return said.features.shape[-1]

    def setting(self, name: str) -> Any:
        """Of its preprocessing: "clip_frames", "stride", "size", "mean" or "std"."""
        return self.config["preprocessing"][name]


@dataclasses.dataclass(frozen=True)
class RandomMoments:
    """A clip from anywhere in a video, and the second of sound that begins with it."""

    frames: int
    stride: int
    size: int

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        shape = (self.frames, self.size, self.size, 3)
        return {
            "clips": np.zeros(shape, np.uint8),
            "waveform": np.zeros(mel_patches.SAMPLES, np.float32),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """{"clips": uint8 [T, H, W, 3], "waveform": [16000]}; a short video begins again."""
        long = (self.frames - 1) * self.stride + 1
        first = int(rng.integers(0, max(0, len(video.frames) - long) + 1))
        index = (first + self.stride * np.arange(self.frames)) % len(video.frames)
        return {"clips": video.frames[index], "waveform": second(video, first)}


def second(video: LabelledVideo, frame: int) -> np.ndarray:
    """The second of sound from a frame on, float32 [16000]; zeros where there is none."""
    found = np.zeros(mel_patches.SAMPLES, np.float32)
    if video.waveform is not None:
        first = round(frame / video.fps * mel_patches.RATE)
        part = video.waveform[first : first + len(found)]
        found[: len(part)] = part
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class DistilTask(Task):
    """The student's one stage.

    Attributes:
      run: whose network is trained, by whose config.
      teacher: what it is taught by.
    """

    run: Run
    teacher: Teacher

    name = STAGE
    auxiliary: ClassVar[tuple[str, ...]] = (TEACHER,)

    @property
    def trained(self) -> tuple[str, ...]:
        """All groups that this student has."""
        network = self.run.network
        left_out = {
            "fusion": not network.released,
            "image": network.senses == AUDIO,
            "audio": network.senses == IMAGE,
        }
        return tuple(name for name in GROUPS if not left_out.get(name, False))

    @property
    def examples(self) -> Examples:
        """Scenes that are rendered in the step, or parts of videos."""
        if self.run.config[STAGE].examples == "scenes":
            return RenderedExamples()
        own = self.teacher
        size = self.run.config.data.size
        moments = RandomMoments(own.setting("clip_frames"), own.setting("stride"), size)
        return VideoExamples(moments)

    def first(self, variables: Variables) -> Variables:
        """With the teacher's."""
        return {
            kind: variables.get(kind, {}) | {TEACHER: self.teacher.variables[kind]}
            for kind in ("params", "batch_stats")
        }

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """{"clips": normalised, "patches" [B, 101, 40], "mask" [B]}, some turned over."""
        render_key, flip_key = jax.random.split(key)
        batch = self.clips(batch, render_key)
        clips = augment.random_flip(flip_key, batch["clips"], 0.5)
        return batch | {"clips": self.normalised(clips)}

    def clips(self, batch: Batch, key: jax.Array) -> Batch:
        """{"clips": uint8, "patches" [B, 101, 40], "mask" [B]}; rendered, if there are none."""
        if "row" in batch:
            batch = self._rendered(batch["row"], key)
        kept = {name: batch[name] for name in ("clips", "mask")}
        return kept | {"patches": mel_patches.mel_patch(batch["waveform"])}

    def normalised(self, pixels: jax.Array) -> jax.Array:
        """Pixels [..., H, W, 3] as the teacher wants them: of its size, and normalised."""
        side = self.teacher.setting("size")
        shape = (*pixels.shape[:-3], side, side, 3)
        sized = jax.image.resize(pixels.astype(jnp.float32) / 255, shape, "linear")
        colours = (tuple(self.teacher.setting(name)) for name in ("mean", "std"))
        return augment.normalise(sized, *colours)

    def _rendered(self, rows: jax.Array, key: jax.Array) -> Batch:
        stride = self.teacher.setting("stride")
        size = self.run.config.data.size
        scenes = scene_config(
            self.run.config[STAGE].scenes,
            height=size,
            width=size,
            rate=mel_patches.RATE,
        )
        # As long as the clip, and as its second of sound.
        clip = (self.teacher.setting("clip_frames") - 1) * stride + 1
        length = max(clip, int(np.ceil(scenes.fps)))
        scenes = dataclasses.replace(scenes, frames=length)

        def one(row: jax.Array) -> Batch:
            scene = render_scene(jax.random.fold_in(key, row), scenes)
            return {
                "clips": scene.frames[:clip:stride],
                "waveform": scene.waveform[: mel_patches.SAMPLES],
                "mask": jnp.ones((), bool),
            }

        return jax.vmap(one)(rows)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(L1 of descriptors plus λ times the divergence, (batch statistics, metrics))."""
        del key
        told = self.teacher.network.apply(
            {"params": params[TEACHER], "batch_stats": batch_stats[TEACHER]},
            batch["clips"],
        )
        known = {
            "frames": batch["clips"][:, 0],
            "features": told.features,
            "scores": told.logits,
        }
        own = {name: tree for name, tree in params.items() if name != TEACHER}
        stats = {name: tree for name, tree in batch_stats.items() if name != TEACHER}
        loss, (stats, metrics) = self.learned(own, stats, batch | known)
        return loss, (stats | {TEACHER: batch_stats[TEACHER]}, metrics)

    def learned(
        self, params: Any, batch_stats: Any, batch: Batch
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """The loss of a batch of which the teacher has said what it says.

        Args:
          params, batch_stats: the student's.
          batch: "frames" normalised [B, H, W, 3], "patches" [B, 101, 40], "mask" [B]; of the
            teacher "features" [B, C] and "scores" [B, P], logits.

        Returns:
          As `loss`.
        """
        settings = self.run.config[STAGE]
        said, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["frames"],
            batch["patches"],
            train=True,
            mutable=["batch_stats"],
        )
        each = distillation.distillation_loss(
            (said.descriptor, batch["features"]),
            (said.logits, batch["scores"]),
            settings.weight,
            settings.temperature,
        )
        same = jnp.argmax(said.logits, -1) == jnp.argmax(batch["scores"], -1)
        found = mean(each, batch["mask"])
        metrics = {"agrees": mean(same.astype(jnp.float32), batch["mask"])}
        loss = found.total / jnp.maximum(found.weight, 1.0)
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Scores of the validation videos by their labels; "error" is 1 - top-1."""
        del epoch
        found = self.scored(variables, "val")
        return {"error": 1 - found["top1"]} | {name: found[name] for name in METRICS}

    def scored(self, variables: Variables, split: str) -> dict[str, Any]:
        """`class_scores` of a split: the mean of what is said of several moments of each video.

        Raises:
          ValueError: for a video whose label is no class of the teacher.
        """
        network = self.run.network

        def say(there: Variables, frames: jax.Array, sounds: jax.Array) -> jax.Array:
            patches = mel_patches.mel_patch(sounds)
            return network.apply(there, self.normalised(frames), patches).logits

        def show(video: LabelledVideo, places: np.ndarray) -> tuple[np.ndarray, ...]:
            sounds = np.stack([second(video, place) for place in places])
            return video.frames[places], sounds

        return self._scored(split, variables, say, show)

    def teacher_scored(self, split: str) -> dict[str, Any]:
        """What the teacher scores in the same way, on the clips that begin at these moments.

        Raises:
          ValueError: for a video whose label is no class of the teacher.
        """
        teacher = self.teacher
        stride = teacher.setting("stride")
        steps = stride * np.arange(teacher.setting("clip_frames"))

        def say(there: Variables, clips: jax.Array) -> jax.Array:
            return teacher.network.apply(there, self.normalised(clips)).logits

        def show(video: LabelledVideo, places: np.ndarray) -> tuple[np.ndarray, ...]:
            index = (places[:, None] + steps) % len(video.frames)
            return (video.frames[index],)

        return self._scored(split, teacher.variables, say, show)

    def _scored(
        self,
        split: str,
        variables: Variables,
        say: Callable[..., jax.Array],
        show: Callable[[LabelledVideo, np.ndarray], tuple[np.ndarray, ...]],
    ) -> dict[str, Any]:
        """Scores of a network.

        Args:
          split: of the videos.
          variables: of the network.
          say: (variables, *what is shown of M moments) -> logits [M, P].
          show: (video, frames at which M moments begin) -> what the network is shown of them.
        """
        labels = []
        for video in self.run.videos(split):
            if video.label not in self.teacher.classes:
                raise ValueError(
                    f"{video.video_id}: its label {video.label!r} is no class of the teacher"
                )
            labels.append(self.teacher.classes.index(video.label))
        number = self.run.config.evaluation.moments
        there = jax.tree.map(jnp.asarray, variables)

        # Parameters are an argument, so that the program is the same one of every seed's student.
        @jax.jit
        def program(there: Variables, *shown: jax.Array) -> jax.Array:
            return jax.nn.softmax(say(there, *shown)).mean(0)

        def one(video: LabelledVideo, index: int) -> np.ndarray:
            del index
            # Each moment has a second of the video after it, if the video is that long.
            last = max(0, len(video.frames) - 1 - int(np.ceil(video.fps)))
            places = np.rint(np.linspace(0, last, number)).astype(int)
            return np.asarray(program(there, *show(video, places)))

        return class_scores(self.run.measure(split, one), labels)
