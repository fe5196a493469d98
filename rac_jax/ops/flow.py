"""Optical flow without learning: TV-L1 on device, batched, of small pictures.

Zach, Pock and Bischof, "A duality based approach for realtime TV-L1 optical flow" (2007): of all
flows the one with the least λ |I1(x + u) − I0| + |∇u|, from coarse to fine. At each size the second
picture is warped by what is known and the difference is made linear in what is left (Eq. 8); then
the data term is solved place by place (Eq. 15) and the smoothness by its dual (Eq. 10-14), in turn.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

SMALLEST = 12  # pixels of the coarsest pictures' shorter side, at least
# Pairs at a time on CPU, so that what the steps go over again and again stays in its caches.
CPU_BLOCKS = (4, 3, 2, 1)


@dataclasses.dataclass(frozen=True)
class FlowSettings:
    """How the flow is looked for; defaults are for pictures of 64 to 112 pixels.

    Attributes:
      levels: sizes, each half of the one before; fewer where pictures become too small.
      warps: how often the second picture is warped at each size.
      steps: of both solutions in turn, after each warp.
      data: λ, weight of the pictures' difference, which is in grey levels of 0 to 255.
      coupling: θ, how far both solutions may lie apart.
      step: τ of the dual, at most 1/4.
    """

    levels: int = 4
    warps: int = 3
    steps: int = 12
    data: float = 0.15
    coupling: float = 0.3
    step: float = 0.25


def sample(images: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Images [B, H, W] at columns x and rows y [B, H, W], linear between pixels, edges go on."""
    height, width = images.shape[1:]
    x = jnp.clip(x, 0.0, width - 1.0)
    y = jnp.clip(y, 0.0, height - 1.0)
    left = jnp.clip(jnp.floor(x), 0, max(width - 2, 0)).astype(jnp.int32)
    top = jnp.clip(jnp.floor(y), 0, max(height - 2, 0)).astype(jnp.int32)
    dx, dy = x - left, y - top
    flat = images.reshape(len(images), -1)
    right, below = min(1, width - 1), width * min(1, height - 1)

    def pick(offset: int) -> jax.Array:
        index = (top * width + left + offset).reshape(len(images), -1)
        return jnp.take_along_axis(flat, index, axis=1).reshape(images.shape)

    upper = pick(0) * (1 - dx) + pick(right) * dx
    lower = pick(below) * (1 - dx) + pick(below + right) * dx
    return upper * (1 - dy) + lower * dy


def _differences(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """To the next column and row, 0 at the last: [..., H, W] each."""
    across = jnp.diff(values, axis=-1, append=values[..., -1:])
    down = jnp.diff(values, axis=-2, append=values[..., -1:, :])
    return across, down


def _divergence(across: jax.Array, down: jax.Array) -> jax.Array:
    """Minus the adjoint of `_differences`, for duals that are 0 at the last column and row."""
    across = across.at[..., -1].set(0.0)
    down = down.at[..., -1, :].set(0.0)
    first = jnp.diff(across, axis=-1, prepend=jnp.zeros_like(across[..., :1]))
    second = jnp.diff(down, axis=-2, prepend=jnp.zeros_like(down[..., :1, :]))
    return first + second


def _central(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients [B, H, W] by central differences."""
    padded = jnp.pad(values, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    down = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    return across, down


def _refine(
    first: jax.Array, second: jax.Array, flow: jax.Array, settings: FlowSettings
) -> jax.Array:
    """The flow [2, B, H, W] at one size, from what is known of it."""
    height, width = first.shape[1:]
    rows, columns = jnp.meshgrid(
        jnp.arange(height, dtype=jnp.float32),
        jnp.arange(width, dtype=jnp.float32),
        indexing="ij",
    )
    across, down = _central(second)
    reach = settings.data * settings.coupling
    pace = settings.step / settings.coupling

    def warp(_: int, flow: jax.Array) -> jax.Array:
        x, y = columns[None] + flow[0], rows[None] + flow[1]
        moved = sample(second, x, y)
        gx, gy = sample(across, x, y), sample(down, x, y)
        steep = jnp.square(gx) + jnp.square(gy)
        rest = moved - first - gx * flow[0] - gy * flow[1]

        def solve(
            _: int, state: tuple[jax.Array, jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array, jax.Array]:
            flow, dual_x, dual_y = state
            error = rest + gx * flow[0] + gy * flow[1]
            # As far down the slope as the error goes, but no further than λθ of it.
            far = jnp.clip(-error / jnp.maximum(steep, 1e-6), -reach, reach)
            near = flow + far[None] * jnp.stack([gx, gy])
            flow = near + settings.coupling * _divergence(dual_x, dual_y)
            step_x, step_y = _differences(flow)
            size = 1 + pace * jnp.sqrt(jnp.square(step_x) + jnp.square(step_y) + 1e-12)
            return (
                flow,
                (dual_x + pace * step_x) / size,
                (dual_y + pace * step_y) / size,
            )

        nothing = jnp.zeros_like(flow)
        return jax.lax.fori_loop(0, settings.steps, solve, (flow, nothing, nothing))[0]

    return jax.lax.fori_loop(0, settings.warps, warp, flow)


@functools.partial(jax.jit, static_argnames="settings")
def tv_l1(
    first: jax.Array, second: jax.Array, settings: FlowSettings = FlowSettings()
) -> jax.Array:
    """Where every pixel of the first pictures is in the second ones.

    Args:
      first: [B, H, W] grey levels, 0 to 255.
      second: likewise.
      settings: how it is looked for.

    Returns:
      [B, H, W, 2] pixels to the right and down.

    Raises:
      ValueError: for pictures of two sizes.
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(
            f"flow: pictures are {list(first.shape)} and {list(second.shape)}, "
            "must be [B, H, W], both alike"
        )
    whole = functools.partial(_tv_l1, settings=settings)

    def in_blocks(first: jax.Array, second: jax.Array) -> jax.Array:
        block = next(size for size in CPU_BLOCKS if len(first) % size == 0)
        parts = [x.reshape(-1, block, *x.shape[1:]) for x in (first, second)]
        found = jax.lax.map(lambda pair: whole(*pair), tuple(parts))
        return found.reshape(*first.shape, 2)

    first, second = first.astype(jnp.float32), second.astype(jnp.float32)
    return jax.lax.platform_dependent(first, second, cpu=in_blocks, default=whole)


def _tv_l1(first: jax.Array, second: jax.Array, settings: FlowSettings) -> jax.Array:
    """`tv_l1` of float32 pictures, all at once."""
    batch, height, width = first.shape
    sizes = [(height, width)]
    while len(sizes) < settings.levels and min(sizes[-1]) // 2 >= SMALLEST:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    flow = jnp.zeros((2, batch, *sizes[-1]), jnp.float32)
    for size in reversed(sizes):
        # Pixels of this size are larger ones of the size before.
        scale = jnp.asarray([size[1] / flow.shape[3], size[0] / flow.shape[2]])
        flow = jax.image.resize(flow, (2, batch, *size), "linear")
        flow = flow * scale.reshape(2, 1, 1, 1)
        shrunk = [
            jax.image.resize(one, (batch, *size), "linear") for one in (first, second)
        ]
        flow = _refine(*shrunk, flow, settings)
    return jnp.moveaxis(flow, 0, -1)
