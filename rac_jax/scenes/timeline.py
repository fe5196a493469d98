"""When the repetitions of a scene happen: cycles, pauses, and the phase of every frame.

Time is in frames; frame i shows time i and stands for the span [i, i + 1).
"""

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.scenes.config import FAST_PERIOD, SceneConfig
from rac_jax.scenes.dice import Dice


@flax.struct.dataclass
class Timeline:
    """The repetitions of one scene.

    Attributes:
      starts: [K] when each cycle begins, in frames; may lie outside the scene.
      lengths: [K] of each cycle, in frames.
      valid: [K] bool, which of the K cycles there are.
      phase: [T] within the cycle, in [0, 1); 0 outside of cycles.
      stage: [T] where the motion is within its stroke, in [0, 1]: 0.5 where it turns round.
      periodicity: [T] bool, inside a cycle.
      rate: [T] repetitions per frame; a window's count is its sum.
      gain: [T] size of the current cycle's motion, about 1; 0 outside of cycles.
      strike: scalar, phase at which the stroke turns round, in (0, 1).
      begin: scalar, when the first cycle begins, in frames.
      end: scalar, when the last one ends.
      repeats: scalar bool.
    """

    starts: jax.Array
    lengths: jax.Array
    valid: jax.Array
    phase: jax.Array
    stage: jax.Array
    periodicity: jax.Array
    rate: jax.Array
    gain: jax.Array
    strike: jax.Array
    begin: jax.Array
    end: jax.Array
    repeats: jax.Array


def make_timeline(key: jax.Array, config: SceneConfig) -> Timeline:
    """Draws the cycles of a scene.

    Args:
      key: PRNG key.
      config: the distribution.

    Returns:
      The timeline.
    """
    k_max, frames = config.max_cycles, config.frames
    dice = Dice(key, 32 + 4 * k_max)
    # Whether anything repeats, whether the scene cuts cycles at both ends, and how fast.
    repeats = ~dice.chance(config.still)
    cut = dice.chance(config.cut)
    tempo = FAST_PERIOD if config.has("fast motion") else config.period
    period = dice.log_uniform(*tempo)

    # Lengths of cycles and of the pauses after them, in mean periods.
    order = jnp.arange(k_max)
    jitter = dice.uniform(0, config.jitter)
    drift = dice.uniform(-1, 1) * config.tempo_drift
    progress = order * period / frames - 0.5
    lengths = jnp.exp(
        jitter * dice.normal((k_max,)) + drift * jnp.clip(progress, -1, 1)
    )
    pauses_often = dice.chance(config.pause)
    pauses_share = dice.uniform(0.1, 0.35)
    pauses = dice.uniform(0.3, 1.5, (k_max,))
    pauses *= pauses_often & (dice.uniform(shape=(k_max,)) < pauses_share)

    # How many cycles fit between a lead-in and a lead-out; a cut scene is full of them.
    lead_in = frames * dice.uniform(0, 0.25) * dice.chance(0.7)
    lead_out = frames * dice.uniform(0, 0.25) * dice.chance(0.7)
    room = frames - lead_in - lead_out
    number = jnp.clip(jnp.floor(room / period), min(config.min_cycles, k_max), k_max)
    number = jnp.where(cut, k_max, number)
    spans = period * (lengths + pauses * (order < number - 1))
    total = jnp.sum(jnp.where(order < number, spans, 0))
    # Whole scenes shrink to fit into their room; cut ones run on past the end.
    shrink = jnp.where(cut, 1.0, jnp.minimum(1.0, room / total))
    begin = jnp.where(cut, -period * dice.uniform(0, 2), lead_in)
    starts = begin + shrink * (jnp.cumsum(spans) - spans)
    lengths = shrink * period * lengths
    valid = repeats & (order < number)
    end = jnp.where(cut, jnp.inf, begin + shrink * total)

    # How each cycle is carried out: how large, with how long a rest at its end, and where in
    # it the stroke turns round.
    gains = jnp.exp(dice.uniform(0, 0.2) * dice.normal((k_max,)))
    hold = dice.uniform(0, 0.35) * dice.chance(0.3)
    turn = dice.uniform(0.3, 0.7)
    strike = turn * (1 - hold)

    # Every frame's place in every cycle. The repetitions done by the edges of the frames are
    # the cycles' shares so far, so the rate of a frame is what it adds to them.
    time = jnp.arange(frames + 1, dtype=jnp.float32)
    position = (time[:, None] - starts[None]) / lengths[None]  # [T + 1, K]
    done = jnp.sum(jnp.clip(position, 0, 1) * valid[None], axis=1)  # [T + 1]
    inside = (position >= 0) & (position < 1) & valid[None]
    inside = inside[:-1]  # [T, K]
    # A frame is in one cycle at most, so sums over the cycles pick its own.
    phase = jnp.sum(position[:-1] * inside, axis=1)  # [T]
    moving = jnp.clip(phase / (1 - hold), 0, 1)
    stage = jnp.where(
        moving < turn, 0.5 * moving / turn, 0.5 + 0.5 * (moving - turn) / (1 - turn)
    )
    return Timeline(
        starts=starts,
        lengths=lengths,
        valid=valid,
        phase=phase,
        stage=stage,
        periodicity=jnp.any(inside, axis=1),
        rate=jnp.diff(done),
        gain=jnp.sum(gains[None] * inside, axis=1),
        strike=strike,
        begin=begin,
        end=end,
        repeats=repeats,
    )
