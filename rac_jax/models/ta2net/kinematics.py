"""Motion and inflectional flow of a clip (paper 4, Eq. 1-4), in pixels or as pictures of colours.

The paper's flow is a vector of velocity and its inflection the difference of two. Its authors' code
stores flow as pictures, hues on a wheel divided by the longest vector of that frame, and takes the
difference of two such pictures: speeds are lost. `colours` is for weights that were trained so.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops.flow import FlowSettings, tv_l1

# How flow is made without learning, by name.
FLOWS = {
    "tv_l1": FlowSettings(),
    "tv_l1_quick": FlowSettings(warps=2, steps=8),
}
# Arguments of the GMFlow that makes it, by name: the paper's, the refined one, and the small one
# that `configs/gmflow.py` trains.
NETWORKS = {
    "gmflow": {},
    "gmflow_refined": {"scales": 2, "refinements": 6},
    "gmflow_small": {"width": 0.375, "scales": 2, "blocks": 4},
}
# Of `strengths`: means of the first, second, fourth ... powers.
POWERS = 5
# Steps of the wheel from red over yellow, green, cyan, blue and magenta back to red (Baker et al.,
# "A database and evaluation methodology for optical flow", 2011).
WHEEL = (15, 6, 4, 11, 13, 6)
CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))


@flax.struct.dataclass
class Kinematics:
    """What is known of the motion at each frame of clips.

    Attributes:
      forward: [B, N, H, W, C] flow to the next frame, v+; of the last one, that of the one before.
      backward: [B, N, H, W, C] flow to the frame before, v-; of the first one, that of the second.
      forward_inflection: [B, N, H, W, C] v+ of the next frame minus v+, a+.
      backward_inflection: [B, N, H, W, C] v- of the frame before minus v-, a-.
    """

    forward: jax.Array
    backward: jax.Array
    forward_inflection: jax.Array
    backward_inflection: jax.Array


def check_flow(method: str) -> None:
    """Checks a way to make flow.

    Raises:
      ValueError: if it is not of `FLOWS` or `NETWORKS`.
    """
    if method not in FLOWS and method not in NETWORKS:
        known = ", ".join((*FLOWS, *NETWORKS))
        raise ValueError(f"flow: {method!r} is not one of {known}")


def at_every_frame(there: jax.Array, back: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flows [B, N - 1, H, W, 2] between neighbours, forward and backward, as those of N frames.

    The one that is missing at an end is repeated from its neighbour.
    """
    forward = jnp.concatenate([there, there[:, -1:]], axis=1)
    backward = jnp.concatenate([back[:, :1], back], axis=1)
    return forward, backward


def flows(clips: jax.Array, method: str) -> tuple[jax.Array, jax.Array]:
    """Forward and backward flow of clips, without learning.

    Args:
      clips: [B, N, H, W, 3] in [-1, 1], N at least 2.
      method: of `FLOWS`.

    Returns:
      Two [B, N, H, W, 2] in pixels, see `at_every_frame`.
    """
    grey = 127.5 * (1 + jnp.mean(clips.astype(jnp.float32), axis=-1))  # [B, N, H, W]
    batch, frames, *size = grey.shape
    first = grey[:, :-1].reshape(-1, *size)
    second = grey[:, 1:].reshape(-1, *size)
    both = tv_l1(
        jnp.concatenate([first, second]),
        jnp.concatenate([second, first]),
        FLOWS[method],
    )
    there, back = both.reshape(2, batch, frames - 1, *size, 2)
    return at_every_frame(there, back)


def kinematics(
    forward: jax.Array, backward: jax.Array, pictures: bool = False
) -> Kinematics:
    """Flow and its inflection.

    Args:
      forward: [B, N, H, W, 2] in pixels.
      backward: likewise.
      pictures: whether both are turned into pictures of colours first, as the release has it.

    Returns:
      C of them is 2, or 3 of pictures. At the ends, where a flow is missing, nothing inflects.
    """
    if pictures:
        forward, backward = colours(forward), colours(backward)
    later = jnp.concatenate([forward[:, 1:], forward[:, -1:]], axis=1)
    earlier = jnp.concatenate([backward[:, :1], backward[:, :-1]], axis=1)
    return Kinematics(forward, backward, later - forward, earlier - backward)


def strengths(
    forward: jax.Array, backward: jax.Array, streams: Sequence[str]
) -> jax.Array | None:
    """How fast each frame's places move and how abruptly they turn, the strongest of them most.

    Means of powers of log(1 + pixels), of the places' speed |v+ - v-| / 2 where "motion" is looked
    at, and of |v+ + v-|, where they go next minus where they came from, for "inflection".

    Args:
      forward: [B, N, H, W, 2] in pixels.
      backward: likewise.
      streams: which of both.

    Returns:
      [B, N, K], five of each, or None without streams.
    """
    sums = {"motion": (forward - backward) / 2, "inflection": forward + backward}
    found = []
    for name in streams:
        size = jnp.log1p(jnp.sqrt(jnp.sum(jnp.square(sums[name]), -1) + 1e-12))
        power = size
        for place in range(POWERS):
            mean = jnp.mean(power, axis=(2, 3))  # [B, N]
            found.append((mean + 1e-12) ** (1 / 2**place))
            power = jnp.square(power)
    return jnp.stack(found, axis=-1) if found else None


def _wheel() -> np.ndarray:
    """Colours [55, 3] around the wheel, in 0 to 1."""
    parts = []
    for place, steps in enumerate(WHEEL):
        start, end = (np.asarray(CORNERS[(place + k) % 6], float) for k in (0, 1))
        share = np.arange(steps)[:, None] / steps
        parts.append(start + share * (end - start))
    return np.concatenate(parts)


def colours(flow: jax.Array) -> jax.Array:
    """Flow as a picture: hue by direction, pale where slow, by the longest vector of the frame.

    Args:
      flow: [..., H, W, 2].

    Returns:
      [..., H, W, 3] in 0 to 1; white where nothing moves.
    """
    length = jnp.sqrt(jnp.sum(jnp.square(flow), axis=-1))  # [..., H, W]
    longest = jnp.max(length, axis=(-2, -1), keepdims=True)
    far = length / jnp.maximum(longest, 1e-5)
    wheel = jnp.asarray(_wheel(), jnp.float32)
    turn = jnp.arctan2(-flow[..., 1], -flow[..., 0]) / jnp.pi  # -1 to 1
    place = (turn + 1) / 2 * (len(wheel) - 1)
    low = jnp.floor(place).astype(jnp.int32)
    share = (place - low)[..., None]
    hue = (1 - share) * wheel[low] + share * wheel[(low + 1) % len(wheel)]
    return 1 - far[..., None] * (1 - hue)
