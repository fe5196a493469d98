"""The network of a taught exercise: how the picture flows now and did lately, and a head of phases.

Flow is Lucas and Kanade's (1981) least squares, in few large cells and at two sizes of the
picture, so that it tells a way up from a way down whatever the colours, and costs next to
nothing. The head reads it at some moments, from now to two seconds ago.

The shipped compact counter's frozen encoder was tried in its place and tells phases worse
(docs/experiments.md): it is trained to see that something returns, not where it goes.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.models.sien.network import SIENOutput

EVERY = 4  # frames from one output to the next
SIDES = (16, 32)  # pixels a side of the picture when its flow is measured
CELLS = 2  # a side
SMOOTH = 3  # frames whose mean is read
# Frames before the newest one that the head reads.
LAGS = (0, 2, 4, 7, 11, 15, 23, 31)
PAST = max(LAGS) + SMOOTH - 1
ROW = len(SIDES) * CELLS * CELLS * 2  # numbers of a frame
# Added to the squared gradients (of pixels in 0..255), so that nothing flows where nothing is
# seen: a share of their mean over the picture, and a constant.
DAMPING_SHARE, DAMPING = 0.05, 1.0


@flax.struct.dataclass
class FlowState:
    """What is remembered of a stream; arrays alone.

    Attributes:
      last: [B, H, W] the newest frame, grey.
      past: [B, PAST, ROW] the flow of the newest frames.
      seen: int32 scalar, 0 before the first frame, which flows nowhere.
    """

    last: jax.Array
    past: jax.Array
    seen: jax.Array


class PhaseFlow(nn.Module):
    """The network.

    Args:
      hidden: units of the head.
      phases: P, classes of phases.
      dtype: of nothing: the flow and the head are float32.
    """

    hidden: int = 24
    phases: int = 3
    dtype: str = "float32"

    def setup(self):
        self.hidden_head = nn.Dense(self.hidden)
        self.phase_head = nn.Dense(self.phases)

    def start(self, batch: int, height: int, width: int) -> FlowState:
        """The state before the first frame; sizes are multiples of 32 pixels."""
        return FlowState(
            jnp.zeros((batch, height, width)),
            jnp.zeros((batch, PAST, ROW)),
            jnp.zeros((), jnp.int32),
        )

    def __call__(self, clips: jax.Array, *, train: bool = False) -> SIENOutput:
        """Looks at whole clips [B, T, H, W, 1] in 0..1: T // 4 outputs."""
        del train
        whole = clips.shape[1] // EVERY * EVERY
        state = self.start(clips.shape[0], *clips.shape[2:4])
        return self.step(state, clips[:, :whole])[1]

    def step(self, state: FlowState, frames: jax.Array) -> tuple[FlowState, SIENOutput]:
        """Looks at the next frames of a stream.

        Args:
          state: of `start`, or after the frames before.
          frames: [B, 4 m, H, W, 1] in 0..1.

        Returns:
          (the state after them, m outputs; output k is of frame 4 k + 3 and of those before).
        """
        state, features = flow_features(state, frames)
        hidden = nn.relu(self.hidden_head(features))
        return state, SIENOutput(features, None, self.phase_head(hidden))


def flow_features(state: FlowState, frames: jax.Array) -> tuple[FlowState, jax.Array]:
    """What the head reads of the next frames; arguments as `PhaseFlow.step`.

    Returns:
      (the state after them, [B, m, L ROW]).
    """
    grey = 255.0 * frames[..., 0].astype(jnp.float32)  # [B, n, H, W]
    last = jnp.where(state.seen > 0, state.last, grey[:, 0])
    pair = jnp.concatenate([last[:, None], grey], axis=1)  # [B, 1 + n, H, W]
    rows = jnp.concatenate([_flow(pair, side) for side in SIDES], axis=-1)
    rows = jnp.concatenate([state.past, rows], axis=1)  # [B, PAST + n, ROW]
    number = grey.shape[1]
    smooth = sum(rows[:, k : rows.shape[1] - SMOOTH + 1 + k] for k in range(SMOOTH))
    smooth = smooth / SMOOTH  # [B, 31 + n, ROW], the last one of the newest frame
    newest = max(LAGS) + jnp.arange(EVERY - 1, number, EVERY)  # [m]
    read = smooth[:, newest[:, None] - jnp.array(LAGS)]  # [B, m, L, ROW]
    after = FlowState(grey[:, -1], rows[:, -PAST:], state.seen + number)
    return after, read.reshape(*read.shape[:2], -1)


def _flow(grey: jax.Array, side: int) -> jax.Array:
    """Flow from frame to frame in cells: [B, 1 + n, H, W] to [B, n, CELLS² 2], in pixels."""

    def pooled(x, size):
        *lead, high, wide = x.shape
        cells = x.reshape(*lead, size, high // size, size, wide // size)
        return jnp.mean(cells, axis=(-3, -1))

    x = pooled(grey, side)  # [B, 1 + n, side, side]
    rise = jnp.diff(x, axis=1)
    middle = (x[:, 1:] + x[:, :-1]) / 2
    down, right = jnp.gradient(middle, axis=(2, 3))
    xx, yy, xy = (pooled(a, CELLS) for a in (right**2, down**2, right * down))
    xt, yt = pooled(right * rise, CELLS), pooled(down * rise, CELLS)
    damping = DAMPING_SHARE * jnp.mean(xx + yy, axis=(2, 3), keepdims=True) + DAMPING
    xx, yy = xx + damping, yy + damping
    area = xx * yy - xy**2
    flow = jnp.stack([(xy * yt - yy * xt) / area, (xy * xt - xx * yt) / area], axis=-1)
    return flow.reshape(*flow.shape[:2], -1)
