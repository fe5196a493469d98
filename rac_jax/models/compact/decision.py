"""The family's one decision: from posteriors of the streams to counts, in counting and training."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.family import Variables
from rac_jax.counting.programs import CompiledProgram
from rac_jax.models.compact import decoder, returns
from rac_jax.models.compact.decoder import Decoded, DecodingConfig
from rac_jax.models.compact.grid import STEP_FRAMES, WINDOW_FRAMES, step_count
from rac_jax.models.compact.network import DecodedPosteriors
from rac_jax.models.compact.posteriors import Steps

# Steps that are decoded at once, with a margin on both sides that is wider than a decoder sees.
BLOCK_STEPS = 256
MARGIN_STEPS = 64

CPU_BATCH_SIZES = (8, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Decision:
    """What is decided on a video.

    Attributes:
      fused: by both streams, or by the one there is.
      sight: by sight alone, or None without a picture.
      sound: by sound alone, or None without sound.
      reliability: mean weight of the sound where repetitions are, or everywhere if there are
        none; None unless there are both streams.
    """

    fused: Decoded
    sight: Decoded | None
    sound: Decoded | None
    reliability: float | None


class CompactNetworks:
    """The parts of a compact model as compiled programs.

    Args:
      network: a `Compact` module.
      variables: its variables.
      size: height and width of the frames, in pixels.
      batch_sizes: in falling order; None chooses by the device's memory.

    Attributes:
      batch_sizes: of windows, in falling order.
      sight: grey windows [B, 64, H, W] to [B, 64, 29]: the distribution over periods of each
        frame, and its periodicity.
      sound: windows of mel bands [B, 64, 4, 32] to the same.
    """

    def __init__(
        self,
        network: nn.Module,
        variables: Variables,
        size: int,
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.batch_sizes = batch_sizes or choose_batch_sizes(
            CPU_BATCH_SIZES, WINDOW_FRAMES, size
        )
        variables = jax.device_put(variables)

        def program(method: str, function: Callable) -> Callable:
            return functools.partial(
                CompiledProgram(function, network, method), variables
            )

        def stream(method: str) -> Callable:
            def joined(variables: Variables, windows: jax.Array) -> jax.Array:
                found = network.apply(variables, windows, method=method)
                sure = found.periodicity[..., None]
                return jnp.concatenate([found.periods, sure], axis=-1)  # [B, 64, 29]

            return program(method, joined)

        self.sight, self.sound = stream("sight"), stream("sound")
        self._decode = program(
            "decode", functools.partial(network.apply, method="decode")
        )

    def decode(
        self, number: int, sight: Steps | None, sound: Steps | None
    ) -> DecodedPosteriors:
        """The distributions at every step, block by block.

        Args:
          number: G, steps of the video.
          sight, sound: posteriors of the streams, None for one that is not there.

        Returns:
          Arrays [G, 55], and [G] for `reliability`, on the host.
        """
        parts = []
        for first in range(0, number, BLOCK_STEPS):
            low = max(0, first - MARGIN_STEPS)
            high = min(number, first + BLOCK_STEPS + MARGIN_STEPS)
            found = jax.device_get(
                self._decode(_block(sight, low, high), _block(sound, low, high))
            )
            own = slice(first - low, min(first + BLOCK_STEPS, number) - low)
            parts.append(jax.tree.map(lambda leaf, own=own: leaf[0, own], found))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _block(stream: Steps | None, low: int, high: int) -> np.ndarray | None:
    """Posteriors of a block's steps, padded to one of few lengths. [1, G', 54, 2 S]"""
    if stream is None:
        return None
    found = stream(low, high - low)
    room = -len(found) % MARGIN_STEPS
    return np.pad(found, ((0, room), (0, 0), (0, 0)))[None]


def decide(
    networks: CompactNetworks,
    config: DecodingConfig,
    frames: int,
    sight: Steps | None,
    sound: Steps | None,
    changes: np.ndarray | None,
) -> Decision:
    """Counts a video whose posteriors are known.

    Args:
      networks: of the model.
      config: the decoding's constants.
      frames: T, frames of the video, at least 1.
      sight, sound: posteriors of the streams, None for one that is not there.
      changes: [T, LAGS] of the picture, see `returns.Changes`; None without one.

    Returns:
      What is counted by both streams and by each alone. Sets that are seen where the picture
      does not return are left out, unless they are heard.
    """
    found = networks.decode(step_count(frames), sight, sound)

    def decoded(distribution: np.ndarray | None) -> Decoded | None:
        if distribution is None:
            return None
        return decoder.decode(distribution, frames, config)

    seen, heard = map(decoded, (found.sight, found.sound))
    alone = seen if heard is None else heard
    # One stream by itself is not decoded twice.
    fused = alone if found.reliability is None else decoded(found.fused)
    if changes is not None:
        fused = _returning(fused, changes, found.reliability)
        seen = _returning(seen, changes, None)
    reliability = None
    if found.reliability is not None:
        inside = fused.rate[::STEP_FRAMES] > 0
        chosen = inside if inside.any() else np.ones_like(inside)
        reliability = float(found.reliability[chosen].mean())
    return Decision(fused, seen, heard, reliability)


def _returning(
    found: Decoded, changes: np.ndarray, trust: np.ndarray | None
) -> Decoded:
    """What is left without sets in which the picture does not return.

    Args:
      found: by a picture, or by both.
      changes: see `decide`.
      trust: weight of the sound at every step, None without one; sets of which most is heard
        stay.

    Returns:
      The sets that are left, and their count. The score stays: it is that of what was found.
    """
    kept, rate = [], np.array(found.rate)
    for one in found.sets:
        span = slice(one.first, one.end)
        steps = slice(one.first // STEP_FRAMES, one.end // STEP_FRAMES + 1)
        listened = 0.0 if trust is None else float(np.mean(trust[steps]))
        ratio = returns.return_ratio(changes[span], found.rate[span])
        if listened < 0.5 and ratio is not None and ratio >= returns.MOST_RATIO:
            rate[span] = 0.0
        else:
            kept.append(one)
    if len(kept) == len(found.sets):
        return found
    count = float(sum(one.count for one in kept))
    return dataclasses.replace(found, count=count, sets=tuple(kept), rate=rate)


def check_confidence(table: Any) -> Mapping[str, Any]:
    """The table as it is; raises ValueError unless it is one that `confidence` can read."""
    if not isinstance(table, Mapping):
        raise ValueError(f"confidence: must be an object, not {table!r:.60}")  # noqa: TRY004
    for name in ("positive", "negative"):
        columns = [table.get(f"{name}_score"), table.get(name)]
        lengths = {len(one) if isinstance(one, list) else 0 for one in columns}
        numbers = all(isinstance(x, int | float) for one in columns for x in one or ())
        if len(lengths) > 1 or 0 in lengths or not numbers:
            raise ValueError(
                f"confidence.{name}_score, confidence.{name}: must be lists of numbers "
                "of one length"
            )
    return table


def confidence(table: Mapping[str, Any], found: Decoded) -> float:
    """The probability that a count is off by one at most, as calibrated on scenes.

    Args:
      table: {"positive_score", "positive"}: rising scores and the share of such scenes counted
        right; "negative_score", "negative" likewise for scenes without any set found, by the
        score of none.
      found: what was counted.

    Returns:
      The probability, in [0, 1].
    """
    kind = "positive" if found.sets else "negative"
    return float(np.interp(found.score, table[f"{kind}_score"], table[kind]))
