"""Procedural scenes as a data set: rendered on the device, labelled as any video."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator

import jax
import numpy as np

from rac_jax.data.labelled import SCHEMA, LabelledVideo
from rac_jax.models.sight_sound.scene_batches import scene_spectrogram
from rac_jax.scenes import (
    KINDS,
    PICTURE_DAMAGE,
    SOUND_DAMAGE,
    SceneConfig,
    render_scene,
)


class SceneVideos:
    """Scene i of a seed, always the same one; a source for the pipeline."""

    def __init__(self, config: SceneConfig, number: int, seed: int):
        """Takes the distribution of the scenes, how many there are, and their seed."""
        self._config, self._number, self._seed = config, number, seed

        @jax.jit
        def render(key):
            scene = render_scene(key, config)
            columns = scene_spectrogram(scene.waveform)
            return scene.replace(waveform=columns, mask=None)

        self._render = render

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[LabelledVideo]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """For messages."""
        return f"scene {index} of seed {self._seed}"

    @property
    def key(self) -> str:
        """A digest of everything that the scenes depend on."""
        known = [SCHEMA, dataclasses.asdict(self._config), self._number, self._seed]
        text = json.dumps(known, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __getitem__(self, index: int) -> LabelledVideo:
        """Renders one scene.

        Args:
          index: in [0, len).

        Returns:
          The record; its challenges are its damages, "dark picture" or "noise sound". A silent
          sound is none.

        Raises:
          IndexError: outside of the data set.
        """
        if not 0 <= index < self._number:
            raise IndexError(f"scene {index} of {self._number}")
        key = jax.random.fold_in(jax.random.key(self._seed), index)
        scene = jax.device_get(self._render(key))
        picture = PICTURE_DAMAGE[int(scene.picture_damage)]
        sound = SOUND_DAMAGE[int(scene.sound_damage)]
        challenges = [f"{picture} picture"] if picture != "none" else []
        challenges += [f"{sound} sound"] if sound != "none" else []
        cycles = np.asarray(scene.cycles[scene.cycles_mask] * self._config.fps)
        columns = None if sound == "silent" else scene.waveform.astype(np.float16)
        return LabelledVideo(
            video_id=f"scene-{self._seed}-{index}",
            frames=np.asarray(scene.frames),
            fps=self._config.fps,
            columns=columns,
            count=float(scene.count),
            cycles=cycles.astype(np.float32),
            label=KINDS[int(scene.kind)],
            challenges=tuple(challenges),
        )
