"""The jitted functions of a sight-and-sound model, and one video's pass through them."""

import hashlib
from collections.abc import Hashable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.batching import BatchEncoder, map_rows
from rac_jax.counting.programs import Kept
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import spectrogram

HEAD_ROWS = 64  # rows per call of the stride and reliability heads, which are tiny


class Networks:
    """A model's four networks as jitted functions with fixed shapes.

    Args:
      module: a `SightSound` module.
      variables: its {"params", "batch_stats"}.
      preprocessing: the `preprocessing` of its `config.json`.
      batch_sizes: encoder batch sizes in falling order; None chooses by the device's memory.
    """

    def __init__(
        self,
        module: nn.Module,
        variables: Any,
        preprocessing: dict[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.clip_frames = int(preprocessing["clip_frames"])
        self.size = int(preprocessing["size"])
        self.columns = int(preprocessing["columns"])
        # No clip of padding on CPU.
        self.batch_sizes = batch_sizes or choose_batch_sizes(
            (4, 1), self.clip_frames, self.size
        )
        self.has_solo_ranker = bool(module.use_sight_only_ranker)
        self._variables = jax.device_put(variables)
        mean = np.asarray(preprocessing["mean"], np.float32)
        std = np.asarray(preprocessing["std"], np.float32)

        def sight(variables, clips, valid):
            frames = clips.astype(jnp.float32) / 255  # [N, T, H, W, 3]
            frames = (frames - mean) / std
            real = jnp.arange(clips.shape[1]) < valid[:, None]  # [N, T]
            frames = frames * real[:, :, None, None, None]
            return module.apply(variables, frames, method="sight")

        def sound(variables, *segments):
            return module.apply(
                variables, spectrogram.segment_spectrogram(*segments), method="sound"
            )

        def score(variables, sight, sound):
            return module.apply(variables, sight, sound, method="score")

        def reliability(variables, sight, sound):
            return module.apply(variables, sight, sound, method="reliability")

        self._sight = Kept(sight, module, "sight", mean.tolist(), std.tolist())
        self._sound = Kept(sound, module, "sound")
        self._score = Kept(score, module, "score")
        self._reliability = Kept(reliability, module, "reliability")

    def sight_encoder(self) -> BatchEncoder:
        """Encodes (clip uint8 [T, H, W, 3], number of real frames)."""

        def prepare(items):
            clips, valid = zip(*items, strict=True)
            return np.stack(clips), np.array(valid, np.int32)

        return BatchEncoder(
            "sight",
            lambda *a: self._sight(self._variables, *a),
            prepare,
            self.batch_sizes,
        )

    def sound_encoder(self, track: Soundtrack) -> BatchEncoder:
        """Encodes segments of a soundtrack given by their column positions [columns]."""

        def prepare(items):
            mean, std = track.statistics()
            return *track.segments(np.stack(items)), np.float32(mean), np.float32(std)

        return BatchEncoder(
            "sound",
            lambda *a: self._sound(self._variables, *a),
            prepare,
            self.batch_sizes,
        )

    def score(self, sight: Any, sound: Any) -> np.ndarray:
        """Stride scores [N] of rows of sight and sound outputs."""
        return map_rows(
            lambda *a: self._score(self._variables, *a), HEAD_ROWS, sight, sound
        )

    def reliability(self, sight: Any, sound: Any) -> np.ndarray:
        """Weights of the sound [N], γ of Eq. 10."""
        return map_rows(
            lambda *a: self._reliability(self._variables, *a), HEAD_ROWS, sight, sound
        )


class Pass:
    """One video's pass: clips and segments go in, each distinct one is encoded once.

    Args:
      networks: the model.
      track: the video's sound; it has no samples for a silent video.
    """

    def __init__(self, networks: Networks, track: Soundtrack):
        self.networks = networks
        self.track = track
        self.sight = networks.sight_encoder()
        self.sound = networks.sound_encoder(track)

    @staticmethod
    def clip_key(stride: int, first_frame: int, valid: int) -> Hashable:
        """What tells a clip apart; clips of one real frame are equal at any stride."""
        return first_frame, stride if valid > 1 else 0

    def add_clip(
        self, stride: int, first_frame: int, valid: int, frames: np.ndarray
    ) -> Hashable:
        """Queues a clip of `valid` real frames and returns its key."""
        key = self.clip_key(stride, first_frame, valid)
        self.sight.add(key, (frames, valid))
        return key

    def add_segment(self, positions: np.ndarray) -> Hashable:
        """Queues a spectrogram segment, float64 [columns] positions, and returns its key."""
        # All padding is alike, and positions are compared as numbers: -0.0 is 0.0.
        positions = np.where(
            (positions <= -1) | (positions >= self.track.columns), -1, positions
        )
        key = hashlib.blake2b((positions + 0.0).tobytes(), digest_size=16).digest()
        self.sound.add(key, positions)
        return key

    def cost(self) -> dict[str, dict[str, int]]:
        """Per encoder: distinct clips, calls, and batch sizes used (one compilation each)."""
        return {
            encoder.name: {
                "clips": len(encoder),
                "calls": encoder.calls,
                "compiled": len(encoder.shapes),
            }
            for encoder in (self.sight, self.sound)
        }
