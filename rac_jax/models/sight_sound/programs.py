"""A sight-and-sound model's networks as compiled programs, and the encoders of one video.

Encoders run in batches of a few fixed sizes; each distinct clip and each distinct segment of
sound is encoded once.
"""

import copy
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.batching import BatchEncoder, map_rows
from rac_jax.counting.family import Variables
from rac_jax.counting.programs import CompiledProgram
from rac_jax.models.sight_sound.heads import FUSION_HEAD, fusion_head
from rac_jax.models.sight_sound.network import SightOutput, SoundOutput
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import spectrogram

# Rows per call of the ranker, the reliability module and the fusion head, which are tiny.
HEAD_ROWS = 64
# On CPU, where no batch may hold a clip of padding.
CPU_BATCH_SIZES = (4, 1)


class SightSoundPrograms:
    """A model's networks as compiled programs with fixed shapes.

    Nothing is compiled before it is used, and programs are shared by all models of equal
    arguments, so that this costs no more than moving the variables.

    Args:
      network: a `SightSound` module.
      variables: its {"params", "batch_stats"}, and if the reliability stage trained it, the
        parameter group of the head that fuses by itself.
      preprocessing: the `preprocessing` of its `config.json`.
      batch_sizes: encoder batch sizes in falling order; None chooses by the device's memory.

    Attributes:
      clip_frames, size, columns: of `preprocessing`.
      batch_sizes: those that are used.
      has_solo_ranker: whether strides can be scored by sight alone.
      has_fusion_head: whether the variables hold the head that fuses by itself.
      sight, sound: the encoders' programs; arguments are the variables and those of a batch.
    """

    def __init__(
        self,
        network: nn.Module,
        variables: Variables,
        preprocessing: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.clip_frames = int(preprocessing["clip_frames"])
        self.size = int(preprocessing["size"])
        self.columns = int(preprocessing["columns"])
        if min(self.clip_frames, self.size, self.columns) < 1:
            raise ValueError(
                "preprocessing: clip_frames, size and columns must be at least 1"
            )
        self.batch_sizes = batch_sizes or choose_batch_sizes(
            CPU_BATCH_SIZES, self.clip_frames, self.size
        )
        self.has_solo_ranker = bool(network.use_sight_only_ranker)
        params = dict(variables["params"])
        head = params.pop(FUSION_HEAD, None)
        self.has_fusion_head = head is not None
        self._variables = jax.device_put({**variables, "params": params})
        self._head = jax.device_put({"params": head}) if self.has_fusion_head else None
        mean = np.asarray(preprocessing["mean"], np.float32)
        std = np.asarray(preprocessing["std"], np.float32)

        def sight(variables, clips, valid):
            frames = clips.astype(jnp.float32) / 255  # [N, T, H, W, 3]
            frames = (frames - mean) / std
            real = jnp.arange(clips.shape[1]) < valid[:, None]  # [N, T]
            # Padding is zero after normalisation.
            frames = frames * real[:, :, None, None, None]
            return network.apply(variables, frames, method="sight")

        def sound(variables, *segments):
            spectrograms = spectrogram.segment_spectrogram(*segments)  # [N, F, n]
            return network.apply(variables, spectrograms, method="sound")

        def score(variables, sight, sound):
            return network.apply(variables, sight, sound, method="score")

        def reliability(variables, sight, sound):
            return network.apply(variables, sight, sound, method="reliability")

        def joined(variables, sight, sound):
            both = jnp.concatenate([sight, sound], axis=-1)  # [N, C]
            return fusion_head().apply(variables, both).count

        colours = (mean.tolist(), std.tolist())
        self.sight = CompiledProgram(sight, network, "sight", *colours)
        self.sound = CompiledProgram(sound, network, "sound")
        self._score = CompiledProgram(score, network, "score")
        self._reliability = CompiledProgram(reliability, network, "reliability")
        self._joined = CompiledProgram(joined, fusion_head(), "joined")

    def sight_encoder(self, name: str = "sight") -> BatchEncoder:
        """Encodes (clip uint8 [T, H, W, 3], number of real frames) into `SightOutput`.

        Args:
          name: of the encoder.

        Returns:
          The encoder, for clips of one length.
        """

        def prepare(items):
            clips, valid = zip(*items, strict=True)
            return np.stack(clips), np.array(valid, np.int32)

        def run(*batch):
            return self.sight(self._variables, *batch)

        return BatchEncoder(name, run, prepare, self.batch_sizes)

    def sound_encoder(self, track: Soundtrack) -> BatchEncoder:
        """Encodes segments of a soundtrack, [columns] positions each, into `SoundOutput`."""

        def prepare(items):
            mean, std = track.statistics
            return *track.segments(np.stack(items)), np.float32(mean), np.float32(std)

        def run(*batch):
            return self.sound(self._variables, *batch)

        return BatchEncoder("sound", run, prepare, self.batch_sizes)

    def score(self, sight: SightOutput, sound: SoundOutput) -> np.ndarray:
        """Stride scores [N] of rows of sight and sound outputs."""

        def run(*rows):
            return self._score(self._variables, *rows)

        return map_rows(run, HEAD_ROWS, sight, sound)

    def reliability(self, sight: SightOutput, sound: SoundOutput) -> np.ndarray:
        """Weights of the sound [N], γ of Eq. 10."""

        def run(*rows):
            return self._reliability(self._variables, *rows)

        return map_rows(run, HEAD_ROWS, sight, sound)

    def joined(self, sight: SightOutput, sound: SoundOutput) -> np.ndarray:
        """Counts [N] of clips with their sound by the head that fuses by itself (Table 9).

        Raises:
          ValueError: if the model has no such head.
        """
        if self._head is None:
            raise ValueError(f"the variables hold no parameter group {FUSION_HEAD!r}")

        def run(*rows):
            return self._joined(self._head, *rows)

        return map_rows(run, HEAD_ROWS, sight.features, sound.features)


def clip_key(stride: int, first_frame: int, valid: int) -> Hashable:
    """What tells a clip of `valid` real frames apart; one of a single one is equal at any stride."""
    return first_frame, stride if valid > 1 else 0


class SegmentEncoder:
    """Encodes segments of one soundtrack, each distinct one once.

    Args:
      programs: the model.
      track: the sound; without samples all segments are padding.
    """

    def __init__(self, programs: SightSoundPrograms, track: Soundtrack):
        self.track = track
        self.encoder = programs.sound_encoder(track)

    def copy(self) -> "SegmentEncoder":
        """One that goes on by itself from here."""
        twin = copy.copy(self)
        twin.encoder = self.encoder.copy()
        return twin

    def add(self, positions: np.ndarray) -> Hashable:
        """Queues a segment, float64 [columns] positions, and returns its key."""
        # All padding is alike, and positions are compared as numbers: -0.0 is 0.0.
        padding = (positions <= -1) | (positions >= self.track.columns)
        positions = np.where(padding, -1, positions) + 0.0
        key = hashlib.blake2b(positions.tobytes(), digest_size=16).digest()
        self.encoder.add(key, positions)
        return key

    def rows(self, keys: Sequence[Hashable]) -> SoundOutput:
        """Outputs of segments by their keys."""
        return self.encoder.rows(keys)


def encoding_cost(*encoders: BatchEncoder) -> dict[str, dict[str, int]]:
    """Per encoder: distinct clips, calls, and batch sizes used (one compilation each)."""
    return {
        encoder.name: {
            "clips": len(encoder),
            "calls": encoder.calls,
            "compiled": len(encoder.shapes),
        }
        for encoder in encoders
    }
