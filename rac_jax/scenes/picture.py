"""Draws a scene's frames: background, bodies, camera, light and damage.

Everything is arithmetic on pixel coordinates, without gathers, so that XLA fuses it into one
pass: sines are replaced by a parabola wave, and the background, which the camera moves and
zooms, is resampled by two small matrix products.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.scenes.config import PICTURE_DAMAGE, SceneConfig
from rac_jax.scenes.dice import Dice
from rac_jax.scenes.motion import ACTORS, OTHERS, SLOTS, Tracks

GRID = 48  # cells of the background along each side
BLOCK_PIXELS = 1 << 20  # drawn at once; a 64-frame clip of 112 x 112 is one block
FIELD_SIDE = 1.7  # side of the background, in units of the picture's longer side


@flax.struct.dataclass
class Look:
    """Colours and textures of a scene, and how it is filmed."""

    background: jax.Array  # [2, GRID, GRID] two grey fields
    field_colours: jax.Array  # [3, 3] constant colour and the two fields' colours
    slope: jax.Array  # [2, 3] gradients along y and x
    colours: jax.Array  # [N, 3] of the bodies
    contrast: jax.Array  # [N, 3] of their textures
    waves: jax.Array  # [N, 2, 2] texture waves per unit length along the body's axes
    offsets: jax.Array  # [N, 2]
    camera: jax.Array  # [4, T] x, y, the logarithm of the zoom, and the roll in radians
    light: jax.Array  # [T] brightness factor
    noise: jax.Array  # scalar, standard deviation in grey levels / 255
    blur: jax.Array  # scalar, softness of edges in pixels
    block: jax.Array  # scalar, side of the pixel blocks (1: full resolution)
    shutter: jax.Array  # scalar, share of a frame's time during which it is exposed
    levels: jax.Array  # scalar, levels of brightness that compression leaves
    seed: jax.Array  # uint32, for the noise


@flax.struct.dataclass
class Pose:
    """The bodies as the camera sees them, and all else that changes along time."""

    x: jax.Array  # [N, T] in the picture, of its shorter side
    y: jax.Array  # [N, T]
    angle: jax.Array  # [N, T] radians
    a: jax.Array  # [N, T] half length
    b: jax.Array  # [N, T] half width
    roundness: jax.Array  # [N, T]
    smear: jax.Array  # [N, T] by how much motion softens the edges
    camera: jax.Array  # [4, T]
    light: jax.Array  # [T]


def make_pose(tracks: Tracks, look: Look, frames: int) -> Pose:
    """Puts the bodies before the camera.

    The roll turns the bodies; the background, whose axes are resampled apart, stays upright.
    Motion blur is the same in all directions: edges soften with speed.
    """
    camera = look.camera
    zoom, roll = jnp.exp(camera[2:3]), camera[3:4]  # [1, T]

    def whole(track):
        return jnp.broadcast_to(track, (SLOTS, frames))

    c, s = jnp.cos(roll), jnp.sin(roll)
    x = (c * tracks.x - s * tracks.y + camera[:1]) * zoom
    y = (s * tracks.x + c * tracks.y + camera[1:2]) * zoom
    step_x, step_y = (jnp.diff(z, axis=1, append=z[:, -1:]) for z in (x, y))
    speed = jnp.sqrt(jnp.square(step_x) + jnp.square(step_y) + 1e-12)
    return Pose(
        x=whole(x),
        y=whole(y),
        angle=whole(tracks.angle + roll),
        a=whole(tracks.a * zoom),
        b=whole(tracks.b * zoom),
        roundness=whole(tracks.roundness),
        # A cut to another view is a jump, but no motion: speeds are capped.
        smear=whole(look.shutter * jnp.minimum(speed, 0.2)),
        camera=camera,
        light=look.light,
    )


def wave(x: jax.Array) -> jax.Array:
    """About sin(2 pi x), made of parabolas: four operations where a sine costs twenty."""
    x = x - jnp.round(x)
    return x * (8 - 16 * jnp.abs(x))


def _fields(key: jax.Array, slopes: jax.Array) -> jax.Array:
    """Random fields whose amplitude falls with frequency as 1 / f^slope. [2, GRID, GRID]"""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(GRID), np.fft.fftfreq(GRID)))
    # The fields have no mean.
    frequency[0, 0] = np.inf
    noise = jax.random.normal(key, (2, 2, GRID, GRID))
    spectrum = jax.lax.complex(noise[0], noise[1])
    spectrum *= jnp.asarray(frequency)[None] ** -slopes[:, None, None]
    fields = jnp.fft.ifft2(spectrum).real
    return fields / (jnp.std(fields, axis=(1, 2), keepdims=True) + 1e-6)


def make_look(key: jax.Array, config: SceneConfig, damage: jax.Array) -> Look:
    """Draws the colours, the camera's motion and the quality of a scene.

    Args:
      key: PRNG key.
      config: the distribution.
      damage: scalar int32, index into PICTURE_DAMAGE.

    Returns:
      The look.
    """
    dice = Dice(key, 384)
    frames = config.frames

    # The background: a colour, a gradient, and two random fields, one smooth and one of patches
    # with edges.
    time = (jnp.arange(frames) / frames)[None, None]
    slopes = dice.uniform(0.8, 2.0, (2,))
    fields = _fields(jax.random.fold_in(key, 1), slopes)
    clutter = config.has("clutter")
    hard = jnp.tanh(dice.uniform(0.5, 6) * fields[1])
    fields = fields.at[1].set(hard)
    base = dice.uniform(0.15, 0.85) + dice.uniform(-0.12, 0.12, (3,))
    strength = dice.uniform(0.08 if clutter else 0.0, 0.2 if clutter else 0.13, (2, 1))
    tints = strength * (1 + 0.6 * dice.normal((2, 3)))
    slope = dice.uniform(0, 0.3) * dice.normal((2, 1)) + 0.05 * dice.normal((2, 3))

    # Bodies keep some distance in brightness from the background's mean, or they vanish.
    mean = jnp.mean(base)
    gap = dice.uniform(0.18, 0.6, (SLOTS, 1))
    side = jnp.where(mean > 0.5, -1.0, 1.0) * jnp.where(
        dice.chance(0.85, (SLOTS, 1)), 1, -1
    )
    colours = mean + side * gap + dice.uniform(-0.18, 0.18, (SLOTS, 3))
    # Often they nearly share one colour, as the limbs of a body do.
    same = dice.chance(0.4)
    colours = jnp.where(same, colours[2:3] + 0.25 * (colours - colours[2:3]), colours)
    # Their textures: two crossed waves each.
    contrast = dice.uniform(0.0, 0.3, (SLOTS, 1)) * (1 + 0.3 * dice.normal((SLOTS, 3)))
    pitch = dice.log_uniform(2.0, 14.0, (SLOTS, 2, 1))
    heading = 2 * jnp.pi * dice.uniform(shape=(SLOTS, 2, 1))
    waves = pitch * jnp.concatenate([jnp.cos(heading), jnp.sin(heading)], axis=2)

    # The camera: slow drift, zoom and roll, and a little shake of a hand.
    moves = config.has("camera viewpoint change")
    zooms = config.has("scale variation")
    speeds = dice.uniform(0.1, 0.7, (4, 2, 1))
    drift = jnp.sum(
        jnp.sin(2 * jnp.pi * (speeds * time + dice.uniform(shape=(4, 2, 1)))), 1
    )
    drift -= jnp.mean(drift, axis=1, keepdims=True)
    size = np.array([[0.05], [0.05], [0.08], [0.05]])
    size = size * np.array([[4.0], [4.0], [2.0], [6.0]]) ** moves
    size = size * np.array([[1.0], [1.0], [6.0], [1.0]]) ** zooms
    often = 1.0 if moves or zooms else 0.6
    drift *= config.camera * size * dice.uniform(0, 1.2, (4, 1)) * dice.chance(often)
    wobble = dice.uniform(0.08, 0.3, (4, 3, 1)) * jnp.arange(frames)[None, None]
    wobble = jnp.sum(
        jnp.sin(2 * jnp.pi * (wobble + dice.uniform(shape=(4, 3, 1)))), axis=1
    )
    shake = config.camera * 0.004 * dice.uniform() * dice.chance(0.3)
    camera = drift + shake * wobble * jnp.asarray([[1.0], [1.0], [0.5], [1.0]])
    # A cut: from some frame on everything is seen from elsewhere.
    other = dice.uniform(-1, 1, (4, 1)) * jnp.asarray([[0.2], [0.2], [0.4], [0.2]])
    later = jnp.arange(frames)[None] >= frames * dice.uniform(0.15, 0.85)
    cut = dice.chance(0.6 if moves else config.shot_change) & (config.camera > 0)
    camera += other * (later & cut)

    # Light that may swell and fade, and how good the recording is: noise, focus, exposure, and
    # the levels of brightness that compression leaves.
    light = dice.uniform(0.05, 0.6) * time[0, 0] + dice.uniform()
    light = 1 + 0.2 * dice.uniform() * dice.chance(0.5) * jnp.sin(2 * jnp.pi * light)
    noise = dice.uniform(0, 0.035)
    blur = dice.uniform(1.0, 2.0) + dice.uniform(0, 3.0) * dice.chance(0.15)
    shutter = dice.uniform(0, 0.6)
    levels = jnp.where(dice.chance(0.15), dice.log_uniform(10, 60), 255.0)
    dim = jnp.where(dice.chance(0.2), dice.uniform(0.25, 0.9), 1.0)
    if config.clean:
        noise, blur, light = 0.004, 1.0, jnp.ones(frames)
        shutter, levels, dim = 0.0, 255.0, 1.0
    light = dim * light

    # Damage: too dark with much noise, or coarse blocks; and scenes in grey or nearly so.
    dark = damage == PICTURE_DAMAGE.index("dark")
    dark |= config.has("low illumination")
    coarse = damage == PICTURE_DAMAGE.index("coarse")
    coarse |= config.has("low resolution")
    light *= jnp.where(dark, dice.uniform(0.03, 0.15), 1.0)
    noise += jnp.where(dark, dice.uniform(0.05, 0.15), 0.0)
    noise += jnp.where(coarse, dice.uniform(0.0, 0.1), 0.0)
    side = min(config.height, config.width)
    block = jnp.where(coarse, side / dice.uniform(5, 11), 1.0)
    grey = jnp.minimum(dice.uniform() * dice.chance(0.3) + dice.chance(0.1), 1)

    def fade(colour):
        """Mixes grey into colours; the picture is linear in them."""
        return colour + grey * (jnp.mean(colour, axis=-1, keepdims=True) - colour)

    return Look(
        background=fields,
        field_colours=fade(jnp.concatenate([base[None], tints])),
        slope=fade(slope),
        colours=fade(colours),
        contrast=fade(contrast),
        waves=waves,
        offsets=dice.uniform(shape=(SLOTS, 2)),
        camera=camera,
        light=light,
        noise=noise,
        blur=blur,
        block=block,
        shutter=jnp.asarray(shutter, jnp.float32),
        levels=jnp.asarray(levels, jnp.float32),
        seed=jax.random.bits(jax.random.fold_in(key, 2), (), jnp.uint32),
    )


def _hat(positions: jax.Array) -> jax.Array:
    """Weights of linear interpolation at positions in cells. [..., GRID]"""
    cells = jnp.arange(GRID).reshape((1,) * positions.ndim + (GRID,))
    return jnp.clip(1 - jnp.abs(positions[..., None] - cells), 0, 1)


def pixel_axis(length: int, other: int, block: jax.Array) -> jax.Array:
    """Pixel centres along one side, in units of the shorter side, 0 in the middle. [length]"""
    pixel = jnp.arange(length, dtype=jnp.float32) + 0.5
    pixel = jnp.where(block > 1, (jnp.floor(pixel / block) + 0.5) * block, pixel)
    return (pixel - length / 2) / min(length, other)


def _noise(shape: tuple[int, ...], seed: jax.Array) -> jax.Array:
    """Triangular noise of variance 1 from an integer hash; cheap enough for every pixel."""
    index = jax.lax.iota(jnp.uint32, int(np.prod(shape))).reshape(shape)
    bits = index * jnp.uint32(0x9E3779B1) + seed
    # The finaliser of murmur3 scrambles them; two halves of the bits make a triangle.
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
    bits ^= bits >> 16
    total = (bits & 0xFFFF).astype(jnp.int32) + (bits >> 16).astype(jnp.int32)
    return (total.astype(jnp.float32) / 65536 - 1) * np.float32(np.sqrt(6))


def draw_frames(tracks: Tracks, look: Look, config: SceneConfig) -> jax.Array:
    """Draws the frames of a scene.

    Args:
      tracks: where its bodies are.
      look: how it looks.
      config: sizes.

    Returns:
      [T, H, W, 3] uint8.
    """
    return _in_blocks(_draw, tracks, look, config)


def draw_mask(tracks: Tracks, look: Look, config: SceneConfig) -> jax.Array:
    """Where the bodies that take part in the motion are seen.

    Args:
      tracks: where the bodies are.
      look: how the scene looks.
      config: sizes.

    Returns:
      [T, H, W] bool.
    """

    def draw(pose, look, config, seed):
        del seed
        covers, _, _ = _cover(pose, look, config)
        actors = jnp.max(covers[OTHERS : OTHERS + ACTORS], axis=0)
        # The last body is the occluder, which is before all others.
        return actors * (1 - covers[-1]) > 0.5

    return _in_blocks(draw, tracks, look, config)


def _in_blocks(draw, tracks: Tracks, look: Look, config: SceneConfig) -> jax.Array:
    """Draws large pictures some frames at a time, so that memory holds few planes of floats."""
    frames = config.frames
    block = max(1, BLOCK_PIXELS // (config.height * config.width))
    pose = make_pose(tracks, look, frames)
    if frames <= block:
        return draw(pose, look, config, look.seed)
    blocks = -(-frames // block)

    def split(x):
        """The last axis, padded with its last value, in blocks that lead. [blocks, ..., block]"""
        padding = [(0, 0)] * (x.ndim - 1) + [(0, blocks * block - frames)]
        x = jnp.pad(x, padding, mode="edge")
        return jnp.moveaxis(x.reshape(*x.shape[:-1], blocks, block), -2, 0)

    seeds = look.seed + jnp.arange(blocks, dtype=jnp.uint32) * jnp.uint32(0x632BE5AB)
    drawn = jax.lax.map(
        lambda part: draw(part[0], look, config, part[1]),
        (jax.tree.map(split, pose), seeds),
    )  # [blocks, block, H, W, ...]
    return drawn.reshape(blocks * block, *drawn.shape[2:])[:frames]


def _cover(
    pose: Pose, look: Look, config: SceneConfig
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """How far every body covers every pixel, and where on the body that is.

    Returns:
      (share [N, T, H, W], along the body [N, T, H, W], across it [N, T, H, W]).
    """
    height, width = config.height, config.width
    rows = pixel_axis(height, width, look.block)[None, None, :, None]
    columns = pixel_axis(width, height, look.block)[None, None, None, :]
    u, v, distance = place_on(pose, columns, rows)
    smear = pose.smear[:, :, None, None]
    softness = look.blur * look.block / min(height, width) + smear
    return jnp.clip(0.5 - distance / softness, 0, 1), u, v


def place_on(
    pose: Pose, columns: jax.Array, rows: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where places of the picture are on every body.

    Args:
      pose: of N bodies in T frames.
      columns: of the places, such as [1, 1, 1, W], in units of the picture's shorter side.
      rows: of the places, such as [1, 1, H, 1].

    Returns:
      (along the body [N, T, H, W], across it, distance from its edge, negative inside).
    """

    # Everything that depends on the frame alone is worked out before the pixels.
    def per_frame(track):
        return track[:, :, None, None]  # [N, T, 1, 1]

    a, b = per_frame(pose.a), per_frame(pose.b)
    radius = per_frame(pose.roundness) * jnp.minimum(a, b)
    c, s = per_frame(jnp.cos(pose.angle)), per_frame(jnp.sin(pose.angle))
    dx = columns - per_frame(pose.x)  # [N, T, 1, W]
    dy = rows - per_frame(pose.y)  # [N, T, H, 1]
    # The pixel in the body's own axes, and its signed distance from the rounded box.
    u, v = c * dx + s * dy, c * dy - s * dx  # [N, T, H, W]
    qu, qv = jnp.abs(u) - (a - radius), jnp.abs(v) - (b - radius)
    outside = jnp.sqrt(jnp.square(jnp.maximum(qu, 0)) + jnp.square(jnp.maximum(qv, 0)))
    distance = outside + jnp.minimum(jnp.maximum(qu, qv), 0) - radius
    return u, v, distance


def _draw(pose: Pose, look: Look, config: SceneConfig, seed: jax.Array) -> jax.Array:
    """Draws the frames of one block."""
    camera, light = pose.camera, pose.light
    frames, height, width = light.shape[0], config.height, config.width
    short, long = min(height, width), max(height, width)
    rows = pixel_axis(height, width, look.block)  # [H]
    columns = pixel_axis(width, height, look.block)  # [W]
    zoom = jnp.exp(camera[2])  # [T]

    # Background: each axis by its own interpolation matrix per frame.
    cells = GRID / (FIELD_SIDE * long / short)
    middle = (GRID - 1) / 2
    at_rows = (
        rows[None] / zoom[:, None] - camera[1][:, None]
    ) * cells + middle  # [T, H]
    at_columns = (columns[None] / zoom[:, None] - camera[0][:, None]) * cells + middle
    fields = jnp.einsum("thi,fij->tfhj", _hat(at_rows), look.background)
    fields = jnp.einsum("tfhj,twj->tfhw", fields, _hat(at_columns))  # [T, 2, H, W]

    covers, u, v = _cover(pose, look, config)

    def per_body(numbers):
        return numbers[:, None, None, None]

    # Textures: the product of two waves along each body's own axes.
    textures = 1.0
    for i in range(2):
        phase = per_body(look.waves[:, i, 0]) * u + per_body(look.waves[:, i, 1]) * v
        textures *= wave(phase + per_body(look.offsets[:, i]))

    # The barriers keep XLA from working all of this out again for every colour channel,
    # which costs forty times the time.
    fields, covers, textures = jax.lax.optimization_barrier((fields, covers, textures))
    # Per colour channel: the background, then body over body in drawing order, then light,
    # noise and compression, each plane by itself so that few are in memory.
    light = light[:, None, None]
    x, y = columns[None, None, :], rows[None, :, None]
    noise = look.noise * _noise((frames, height, width), seed)
    channels = []
    for channel in range(3):
        value = (
            look.field_colours[0, channel]
            + look.slope[0, channel] * y
            + look.slope[1, channel] * x
            + look.field_colours[1, channel] * fields[:, 0]
            + look.field_colours[2, channel] * fields[:, 1]
        )
        for n in range(SLOTS):
            colour = look.colours[n, channel] + look.contrast[n, channel] * textures[n]
            value = value + covers[n] * (colour - value)
        value = jnp.clip(value, 0, 1) * light + noise
        value = jnp.round(value * look.levels) / look.levels * 255 + 0.5
        channels.append(jnp.clip(value, 0, 255).astype(jnp.uint8))
    channels = jax.lax.optimization_barrier(channels)
    return jnp.stack(channels, axis=-1)  # [T, H, W, 3]
