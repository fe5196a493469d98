"""Where in the picture something sounds: where motion turns round, or the middle of the map.

Nothing in training says where: of ta2net-small the map alone points no better than the middle of the
picture does. Flow knows more. Where pixels' way on differs from the way they came more than it
usually does, something turns or stops, and what it has struck lies ahead of it.
"""

import jax
import jax.numpy as jnp

# Powers of the map whose centre is taken: of one, everything pulls it to the middle.
SHARP = 4
# Of the picture's side: standard deviations of a blur, and of what moves as one; and how far ahead
# of what turns round lies what it meets.
BLUR, BODY, AHEAD = 1 / 32, 0.06, 0.05


def map_centres(maps: jax.Array) -> jax.Array:
    """Where maps [..., h, w] are highest: [..., 2] right and down, in 0 to 1."""
    weights = jnp.power(maps, SHARP)
    total = jnp.sum(weights, axis=(-2, -1)) + 1e-9
    height, width = maps.shape[-2:]
    across = jnp.einsum("...hw,w->...", weights, _middles(width)) / total
    down = jnp.einsum("...hw,h->...", weights, _middles(height)) / total
    return jnp.stack([across, down], axis=-1)


def turning_places(
    maps: jax.Array, forward: jax.Array, backward: jax.Array
) -> jax.Array:
    """Where motion turns round most, of what the map shows.

    The strongest place of |v+ + v-|, where a frame's pixels go next minus where they came from,
    averaged with the frame before and after, less what is usual at that pixel (its mean over the
    window), blurred, and times the map to the power of `SHARP`; from there `AHEAD` in the direction
    in which what turns had come.

    Args:
      maps: [B, N, h, w] in [0, 1].
      forward: [B, N, H, W, 2] flow to the next frame in pixels.
      backward: likewise, to the frame before.

    Returns:
      [B, N, 2] right and down, in 0 to 1.
    """
    *frames, height, width, _ = forward.shape
    turn = jnp.sqrt(jnp.sum(jnp.square(forward + backward), axis=-1))  # [B, N, H, W]
    usual = jnp.mean(turn, axis=1, keepdims=True)
    before, after = _shifted(turn, -1), _shifted(turn, 1)
    strength = jnp.maximum((before + turn + after) / 3 - usual, 0.0)
    rows, columns = _near(height, BLUR), _near(width, BLUR)
    blurred = jnp.einsum("bnhw,hg,wv->bngv", strength, rows, columns)
    shown = jax.image.resize(maps, (*frames, height, width), "linear")
    weights = blurred * jnp.power(shown, SHARP)
    best = jnp.argmax(weights.reshape(*frames, -1), axis=-1)  # [B, N]
    row, column = best // width, best % width

    # The way that all of it came within two frames.
    rows, columns = _near(height, BODY)[row], _near(width, BODY)[column]  # [B, N, h]
    came = -(backward + _shifted(backward, -1))
    way = jnp.einsum("bnhw,bnh,bnw,bnhwc->bnc", strength, rows, columns, came)
    way /= jnp.linalg.norm(way, axis=-1, keepdims=True) + 1e-6
    place = jnp.stack([_middles(width)[column], _middles(height)[row]], axis=-1)
    return jnp.clip(place + AHEAD * way, 0.0, 1.0)


def _shifted(x: jax.Array, by: int) -> jax.Array:
    """[B, N, ...] with each frame's neighbour; at an end there is none but itself."""
    frames = x.shape[1]
    return x[:, jnp.clip(jnp.arange(frames) + by, 0, frames - 1)]


def _middles(number: int) -> jax.Array:
    """The middles of `number` pixels, in 0 to 1."""
    return (jnp.arange(number) + 0.5) / number


def _near(side: int, deviation: float) -> jax.Array:
    """How near pixels of an axis are to each other, [side, side], 1 for themselves."""
    far = _middles(side)[:, None] - _middles(side)[None]
    return jnp.exp(-jnp.square(far / deviation) / 2)
