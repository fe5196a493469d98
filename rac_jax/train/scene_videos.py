"""Procedural scenes as a data set: rendered on the device, labelled as any video."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
import numpy as np

from rac_jax.data.labelled import SCHEMA, LabelledVideo, is_silent
from rac_jax.scenes import (
    KINDS,
    PICTURE_DAMAGE,
    SOUND_DAMAGE,
    Scene,
    SceneConfig,
    render_scene,
)

Picked = TypeVar("Picked")


class SceneVideos:
    """Scene i of a seed, always the same one; a source for the pipeline.

    The key of scene i is `fold_in(key(seed), i)` where there is one kind of scenes; where there
    are several, that of scene k of kind p is `fold_in(fold_in(key(seed), p), k)`.

    Args:
      parts: how many scenes of which distribution; at least one part, each with a scene or more.
      seed: of the scenes.

    Raises:
      ValueError: if there is no scene.
    """

    def __init__(self, parts: Sequence[tuple[int, SceneConfig]], seed: int):
        if not parts or min(number for number, _ in parts) < 1:
            raise ValueError("scenes: there must be one or more of every kind")
        self._parts, self._seed = tuple(parts), seed

    def __len__(self) -> int:
        return sum(number for number, _ in self._parts)

    def __iter__(self) -> Iterator[LabelledVideo]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """For messages."""
        return f"scene {index} of seed {self._seed}"

    @property
    def key(self) -> str:
        """A digest of everything that the scenes depend on."""
        parts = [[number, dataclasses.asdict(config)] for number, config in self._parts]
        text = json.dumps([SCHEMA, parts, self._seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def scene(
        self, index: int, pick: Callable[[Scene], Picked]
    ) -> tuple[Picked, SceneConfig]:
        """Renders of one scene what is wanted, on the host.

        Args:
          index: in [0, len), part after part.
          pick: takes the wanted of a traced scene; the rest is neither compiled nor computed.
            Always the same function, or it is compiled again.

        Returns:
          (what was picked, of which distribution the scene is).

        Raises:
          IndexError: outside of the data set.
        """
        part, place = self._place(index)
        key = jax.random.key(self._seed)
        if len(self._parts) > 1:
            key = jax.random.fold_in(key, part)
        config = self._parts[part][1]
        key = jax.random.fold_in(key, place)
        return jax.device_get(_render(key, config, pick)), config

    def __getitem__(self, index: int) -> LabelledVideo:
        """Renders one scene as a video.

        Args:
          index: in [0, len), part after part.

        Returns:
          The record; its label is the kind of the motion, its challenges are its damages, "dark
          picture" or "noise sound". Digital silence is no sound.

        Raises:
          IndexError: outside of the data set.
        """
        scene, config = self.scene(index, _of_record)

        # Everything that the record wants is on the host now; times become frames.
        waveform = None if is_silent(scene.waveform) else np.asarray(scene.waveform)
        cycles = scene.cycles[scene.cycles_mask] * config.fps  # [K, 2]
        # Loose timing may bring one sound before that of the cycle before; rounding may put the
        # last one past the end.
        events = np.sort(scene.events[scene.events_mask]) * config.fps  # [E]
        return LabelledVideo(
            video_id=f"scene-{self._seed}-{index}",
            frames=np.asarray(scene.frames),
            fps=config.fps,
            waveform=waveform,
            audio_rate=0 if waveform is None else config.rate,
            count=float(scene.count),
            cycles=np.asarray(cycles, np.float32),
            events=np.clip(events, 0, config.frames).astype(np.float32),
            label=KINDS[int(scene.kind)],
            challenges=_challenges(scene),
        )

    def _place(self, index: int) -> tuple[int, int]:
        """(part, number within the part) of a scene."""
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        part = 0
        while index >= self._parts[part][0]:
            index -= self._parts[part][0]
            part += 1
        return part, index


@functools.partial(jax.jit, static_argnums=(1, 2))
def _render(
    key: jax.Array, config: SceneConfig, pick: Callable[[Scene], Picked]
) -> Picked:
    """What is wanted of a scene; one compiled program per `config` and `pick`."""
    return pick(render_scene(key, config))


def _of_record(scene: Scene) -> Scene:
    """A scene without what no record of a video holds."""
    return scene.replace(mask=None, joints=None)


def _challenges(scene: Scene) -> tuple[str, ...]:
    """The damages of a scene on the host."""
    picture = PICTURE_DAMAGE[int(scene.picture_damage)]
    sound = SOUND_DAMAGE[int(scene.sound_damage)]
    named = ((picture, "picture"), (sound, "sound"))
    return tuple(f"{damage} {stream}" for damage, stream in named if damage != "none")
