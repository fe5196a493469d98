"""What moves in a scene: bodies whose position, turn and shape follow the cycles.

A scene has `SLOTS` bodies, each a rounded box (from a box over a capsule to a disc). Lengths
are in units of the picture's shorter side, x to the right and y down, the origin in the
middle. Motions of all kinds are computed and one is selected: they are tracks of a few
hundred numbers, and selection keeps the function free of branches under `vmap`.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.scenes.config import KINDS, SceneConfig
from rac_jax.scenes.dice import Dice
from rac_jax.scenes.timeline import Timeline

ACTORS = 6  # bodies that take part in the repeated motion
OTHERS = 3  # distractors behind them
SLOTS = OTHERS + ACTORS + 1  # and one occluder before them
TARGETS = 24  # places that an irregular motion goes to
SIGNALS = 8
TURN = 2 * jnp.pi
# Motions that hit their first actor, and which actor does.
HITTING = {"stroke": 2, "bounce": 1}
HIDDEN = (0.0, 0.0, 0.0, -1.0, -1.0, 0.0)  # a body of negative size covers no pixel


@flax.struct.dataclass
class Tracks:
    """Where the N bodies are in every frame, in drawing order."""

    x: jax.Array  # [N, T]
    y: jax.Array  # [N, T]
    angle: jax.Array  # [N, T] radians
    a: jax.Array  # [N, T] half length; not positive: unseen
    b: jax.Array  # [N, T] half width
    roundness: jax.Array  # [N, T] corner radius as a share of the smaller half size


def _body(x, y, angle, a, b, roundness) -> jax.Array:
    """One body's track as an array. [6, T]"""
    parts = [jnp.atleast_1d(part) for part in (x, y, angle, a, b, roundness)]
    return jnp.stack(jnp.broadcast_arrays(*parts))


def _bone(x0, y0, x1, y1, width, roundness=1.0) -> jax.Array:
    """A capsule from one joint to another. [6, T]"""
    dx, dy = x1 - x0, y1 - y0
    length = jnp.sqrt(dx * dx + dy * dy + 1e-9)
    return _body(
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        jnp.arctan2(dy, dx),
        length / 2 + width,
        width,
        roundness,
    )


def _cast(bodies: list[jax.Array], frames: int) -> jax.Array:
    """Fills a scene's actors up with hidden bodies. [ACTORS, 6, T]"""
    hidden = jnp.broadcast_to(jnp.asarray(HIDDEN)[:, None], (6, frames))
    bodies = [jnp.broadcast_to(body, (6, frames)) for body in bodies]
    return jnp.stack(bodies + [hidden] * (ACTORS - len(bodies)))


def _show(body: jax.Array, shown: jax.Array) -> jax.Array:
    """Hides a body unless `shown`. [6, T]"""
    return jnp.where(shown, body, jnp.asarray(HIDDEN)[:, None])


def _gestures(dice: Dice, frames: int) -> jax.Array:
    """Irregular motion: from place to place, after unequal rests. [SIGNALS + 1, T]"""
    gaps = dice.log_uniform(3, 40, (TARGETS,)) * dice.log_uniform(0.6, 2.5)
    begins = jnp.cumsum(gaps) - gaps * dice.uniform()
    quick = gaps * dice.uniform(0.2, 1.0, (TARGETS,))
    steps = dice.uniform(-1, 1, (SIGNALS + 1, TARGETS))
    steps *= dice.chance(0.8, (1, TARGETS))
    time = jnp.arange(frames, dtype=jnp.float32)
    moved = jnp.clip((time[:, None] - begins[None]) / quick[None], 0, 1)  # [T, TARGETS]
    moved = moved * moved * (3 - 2 * moved)
    moves = jnp.diff(steps, axis=1, prepend=0.0)
    return 0.6 * jnp.einsum("tk,sk->st", moved, moves)


def _signals(
    dice: Dice, timeline: Timeline, config: SceneConfig
) -> tuple[jax.Array, ...]:
    """Signals that repeat with the cycles and rest at 0 between them.

    The fundamental is strongest, so that one cycle looks like one repetition, not two. In a
    scene without repetition they are slow wanderings with at most about one turning point, or
    gestures.

    Returns:
      (stroke [T] in [0, 1] and back, loops [SIGNALS, T] within about +-1, stage [T]).
    """
    frames = config.frames
    stage, gain = timeline.stage, timeline.gain * timeline.periodicity
    # Loops: three harmonics each, with random angles, that begin and end a cycle at 0.
    order = jnp.arange(1, 4)[:, None, None]
    angles = TURN * dice.uniform(shape=(3, SIGNALS, 1))
    sizes = (
        dice.uniform(0, 1, (3, SIGNALS, 1))
        * jnp.asarray([0.0, 0.22, 0.12])[:, None, None]
    )
    sizes = sizes.at[0].set(0.5)
    waves = jnp.cos(TURN * order * stage[None, None] + angles) - jnp.cos(
        angles
    )  # [3, SIGNALS, T]
    loops = gain[None] * jnp.sum(sizes * waves, axis=0)  # [SIGNALS, T]
    stroke = gain * 0.5 * (1 - jnp.cos(TURN * stage))  # [T]

    # What moves instead where nothing repeats.
    time = jnp.linspace(0, 1, frames)[None, None]
    speeds = dice.uniform(0.05, 0.6, (2, SIGNALS + 1, 1))
    offsets = dice.uniform(shape=(2, SIGNALS + 1, 1))
    wander = jnp.sum(
        jnp.sin(TURN * (speeds * time + offsets)), axis=0
    )  # [SIGNALS + 1, T]
    wander *= 0.6 * dice.uniform(0, 1) * dice.chance(0.7)
    gestures = _gestures(dice, frames)
    wander = jnp.where(dice.chance(config.gestures), gestures, wander)
    loops = jnp.where(timeline.repeats, loops, wander[:-1])
    stroke = jnp.where(timeline.repeats, stroke, 0.5 + 0.4 * wander[-1])
    return stroke, loops, stage


def _orbit(dice, stroke, loops, stage):
    """A body on a closed path, turning and stretching; companions do it with it."""
    size, slim = dice.uniform(0.08, 0.2), dice.uniform(0.5, 1.0)
    reach = dice.log_uniform(0.18, 0.45, (2,)) * jnp.asarray([1.0, 0.7])
    turn, stretch = dice.uniform(0, 1.2) * dice.chance(0.6), dice.uniform(0, 0.35)
    x, y = reach[0] * loops[0], reach[1] * loops[1]
    angle = turn * loops[2] + TURN * dice.uniform()
    grow = jnp.exp(stretch * loops[3])
    roundness = dice.uniform(0, 1)
    arm, side = dice.uniform(0.8, 1.4) * size, dice.uniform(0.3, 0.7) * size
    mirror_x = dice.uniform(0.25, 0.4)
    return [
        _body(x, y, angle, size * grow, size * slim / grow, roundness),
        _show(
            _body(
                x + arm * jnp.cos(angle),
                y + arm * jnp.sin(angle),
                angle,
                side,
                side,
                1.0,
            ),
            dice.chance(0.5),
        ),
        _show(
            _body(
                mirror_x * 2 - x, y, -angle, size * grow, size * slim / grow, roundness
            ),
            dice.chance(0.25),
        ),
    ]


def _stroke(dice, stroke, loops, stage):
    """A tool that strikes or rubs something that stays."""
    reach = dice.uniform(0.15, 0.45)
    size, width = dice.uniform(0.06, 0.14), dice.uniform(0.4, 1.0)
    swing = dice.uniform(-0.5, 0.5)
    y = reach * (stroke - 1)
    x = 0.04 * loops[0]
    angle = swing * (1 - stroke)
    length = dice.uniform(0.1, 0.3)
    side = dice.sign()
    base = dice.uniform(0.1, 0.35)
    height = dice.uniform(0.03, 0.12)
    roundness = dice.uniform(0, 1)
    hand_x, hand_y = (
        x + side * length * jnp.cos(angle),
        y + side * length * jnp.sin(angle),
    )
    return [
        _body(0.0, size * width + height, 0.0, base, height, 0.3),
        _bone(x, y, hand_x, hand_y, 0.02),
        _body(x, y, angle, size, size * width, roundness),
        _show(_body(hand_x, hand_y, angle, 0.06, 0.05, 1.0), dice.chance(0.6)),
    ]


def _limb(dice, stroke, loops, stage):
    """An arm of two or three members; its joints follow the cycle."""
    upper, lower = dice.uniform(0.15, 0.28, (2,))
    width = dice.uniform(0.025, 0.06)
    rest, bend = dice.uniform(-1.2, 1.2), dice.uniform(0.2, 1.6) * dice.sign()
    swing = dice.uniform(0.25, 1.0) * dice.sign()
    fold = dice.uniform(0.2, 1.2) * dice.sign()
    first = rest + swing * stroke + 0.1 * loops[0]
    second = first + bend + fold * stroke + 0.1 * loops[1]
    ex, ey = upper * jnp.sin(first), upper * jnp.cos(first)
    hx, hy = ex + lower * jnp.sin(second), ey + lower * jnp.cos(second)
    hand = dice.uniform(0.03, 0.09)
    third = second + dice.uniform(-1, 1)
    tool = dice.uniform(0.1, 0.2)
    return [
        _show(_body(-0.02, 0.12, 0.0, 0.1, 0.2, 1.0), dice.chance(0.7)),
        _bone(0.0, 0.0, ex, ey, width),
        _bone(ex, ey, hx, hy, width * 0.85),
        _body(hx, hy, second, hand, hand * dice.uniform(0.5, 1.0), dice.uniform()),
        _show(
            _bone(
                hx, hy, hx + tool * jnp.sin(third), hy + tool * jnp.cos(third), 0.018
            ),
            dice.chance(0.4),
        ),
        _show(_body(0.0, -0.14, 0.0, 0.07, 0.08, 1.0), dice.chance(0.6)),
    ]


def _figure(dice, stroke, loops, stage):
    """A person seen from the front: jumping jacks, squats, presses."""
    dip = dice.uniform(0.0, 0.22) * dice.sign()
    # Jumps are lower than squats are deep.
    dip = jnp.where(dip < 0, 0.4 * dip, dip)
    arms = dice.uniform(0.6, 2.6) * dice.chance(0.75)
    arms = jnp.where(jnp.abs(dip) < 0.07, jnp.maximum(arms, 1.0), arms)
    straddle = dice.uniform(0.1, 0.5) * dice.chance(0.5)
    arm_rest = dice.uniform(0.0, 0.5)
    width = dice.uniform(0.025, 0.045)
    trunk, girth = 0.14, dice.uniform(0.05, 0.09)
    hip = 0.06 + dip * stroke
    shoulder = hip - 2 * trunk
    # Now and then the arms take turns: left and right are one repetition.
    turns = 0.5 + 0.5 * jnp.sin(TURN * stage) * (stroke > 0)
    alternate = dice.chance(0.12)
    reach = dice.uniform(0.2, 0.28)
    stance = 0.05 + (0.3 * straddle) * stroke
    floor = 0.38 + jnp.minimum(dip, 0) * stroke
    bodies = [
        _bone(-0.8 * girth, hip, -stance, floor, width),
        _bone(0.8 * girth, hip, stance, floor, width),
        _body(0.0, hip - trunk, 0.0, girth, trunk + 0.02, 0.8),
        _body(0.0, shoulder - 0.08, 0.0, 0.055, 0.065, 1.0),
    ]
    for side in (-1.0, 1.0):
        x = side * girth
        own = jnp.where(side > 0, turns, 1 - turns)
        raised = arm_rest + arms * jnp.where(alternate, own, stroke)
        bodies.append(
            _bone(
                x,
                shoulder + 0.02,
                x + side * reach * jnp.sin(raised),
                shoulder + 0.02 + reach * jnp.cos(raised),
                width * 0.8,
            )
        )
    return bodies


def _wheel(dice, stroke, loops, stage, irregular):
    """A wheel that turns once a cycle, with a mark, or a crank that drives a slider."""
    size = dice.uniform(0.14, 0.3)
    angle = dice.sign() * TURN * stage + TURN * dice.uniform() + irregular
    radius = size * dice.uniform(0.55, 1.0)
    mark = size * dice.uniform(0.2, 0.45)
    x, y = radius * jnp.cos(angle), radius * jnp.sin(angle)
    rod = radius + dice.uniform(0.15, 0.3)
    slider = x + jnp.sqrt(jnp.maximum(rod**2 - y**2, 1e-4))
    crank = dice.chance(0.4)
    return [
        _body(
            0.0,
            0.0,
            angle,
            size,
            size * dice.uniform(0.85, 1.0),
            dice.uniform(0.6, 1.0),
        ),
        _bone(0.0, 0.0, x, y, mark * 0.4),
        _body(x, y, angle, mark, mark * 0.8, dice.uniform()),
        _show(_bone(x, y, slider, jnp.zeros_like(slider), 0.02), crank),
        _show(_body(slider, 0.0, 0.0, 0.08, 0.06, 0.3), crank),
    ]


def _bounce(dice, stroke, loops, stage, phase, gain):
    """A ball that falls, is squashed and springs up again."""
    size = dice.uniform(0.06, 0.13)
    height = dice.uniform(0.2, 0.5)
    arc = 4 * phase * (1 - phase)
    arc = jnp.where(gain > 0, gain * arc, 0.0) + 0.3 * jnp.abs(loops[0]) * (gain == 0)
    squash = dice.uniform(0, 0.35) * jnp.exp(-25 * arc) * (gain > 0)
    floor = dice.uniform(0.03, 0.1)
    return [
        _body(0.0, floor, 0.0, dice.uniform(0.25, 0.7), floor, 0.1),
        _body(
            0.05 * loops[1],
            -size * (1 - squash) - height * arc,
            0.7 * loops[2],
            size * (1 + squash),
            size * (1 - squash),
            1.0,
        ),
        _show(
            _body(0.0, -height * 1.1 - 2.6 * size + 0.05 * stroke, 0.0, 0.1, 0.04, 1.0),
            dice.chance(0.4),
        ),
    ]


def _breath(dice, stroke, loops, stage):
    """A thing that swells and shrinks, or opens and closes."""
    size, slim = dice.uniform(0.1, 0.2), dice.uniform(0.5, 1.0)
    grow = dice.uniform(0.3, 1.0)
    across = dice.uniform(0, 1) * dice.chance(0.6)
    angle = TURN * dice.uniform() + 0.2 * loops[0]
    apart = dice.uniform(0.05, 0.2)
    lids = dice.chance(0.4)
    a = size * (1 + grow * stroke)
    b = size * slim * (1 + grow * across * stroke)
    gap = apart * stroke + 0.08
    return [
        _body(0.0, 0.0, angle, a, b, dice.uniform()),
        _show(_body(0.0, -gap - 0.04, 0.0, 0.22, 0.05, 0.4), lids),
        _show(_body(0.0, gap + 0.04, 0.0, 0.22, 0.05, 0.4), lids),
    ]


def make_tracks(
    key: jax.Array, timeline: Timeline, config: SceneConfig, occluded: jax.Array
) -> tuple[Tracks, jax.Array]:
    """Lays out the bodies of a scene and moves them with its cycles.

    Args:
      key: PRNG key.
      timeline: the scene's cycles.
      config: the distribution.
      occluded: scalar bool, put a large body before most of the motion.

    Returns:
      Tracks of the SLOTS bodies, still without the camera's motion, and the kind of motion,
      scalar int32, index into KINDS.
    """
    frames = config.frames
    # Half the picture's width and height, in units of its shorter side.
    aspect = max(config.width, config.height) / min(config.width, config.height)
    half_x = 0.5 * (aspect if config.width > config.height else 1.0)
    half_y = 0.5 * (aspect if config.height > config.width else 1.0)
    dice = Dice(key, 768)

    # Every kind of motion is carried out, and one is chosen.
    signals = _signals(dice, timeline, config)
    loops = signals[1]
    gain = timeline.gain * timeline.periodicity
    irregular = jnp.where(timeline.repeats, 0.0, 1.5 * loops[0])
    makers = {
        "orbit": lambda: _orbit(dice, *signals),
        "stroke": lambda: _stroke(dice, *signals),
        "limb": lambda: _limb(dice, *signals),
        "figure": lambda: _figure(dice, *signals),
        "wheel": lambda: _wheel(dice, *signals, irregular),
        "bounce": lambda: _bounce(dice, *signals, timeline.phase, gain),
        "breath": lambda: _breath(dice, *signals),
    }
    moved = {name: _cast(makers[name](), frames) for name in KINDS}
    if config.air:
        # By a key of its own, so that scenes without it stay as they are.
        missing = jax.random.bernoulli(jax.random.fold_in(key, 1), config.air)
        for name in HITTING:
            base = _show(moved[name][0], ~missing)
            moved[name] = moved[name].at[0].set(base)
    # All of them take their numbers; the program computes those alone that may be chosen.
    drawn = tuple(dict.fromkeys(config.kinds))
    place = dice.choice(tuple(drawn.index(name) for name in config.kinds))
    kind = jnp.asarray([KINDS.index(name) for name in drawn], jnp.int32)[place]
    casts = jnp.stack([moved[name] for name in drawn])
    bodies = casts[place]  # [ACTORS, 6, T]
    x, y, angle, a, b, roundness = jnp.moveaxis(bodies, 1, 0)  # each [ACTORS, T]

    # The group as a whole: mirrored, tilted or lying, scaled, placed, and drifting.
    time = jnp.arange(frames) / frames
    mirror = dice.sign()
    tilt = dice.uniform(-0.35, 0.35) + (jnp.pi / 2) * dice.sign() * dice.chance(0.25)
    scale = dice.log_uniform(0.75, 1.4)
    drift = dice.uniform(-0.12, 0.12, (2, 1)) * (time - 0.5)[None]  # [2, T]
    place = dice.uniform(-1, 1, (2, 1)) * jnp.asarray([[half_x - 0.3], [half_y - 0.3]])
    place = place + drift
    # A clean scene stands upright in the middle, all of it in the picture.
    if config.clean:
        mirror, tilt, place = 1.0, 0.0, jnp.zeros((2, frames))
        shown = a > 0
        top = jnp.min(jnp.where(shown, y - jnp.maximum(a, b), jnp.inf))
        bottom = jnp.max(jnp.where(shown, y + jnp.minimum(a, b), -jnp.inf))
        y = y - (top + bottom) / 2
        scale = jnp.minimum(scale, 0.9 / (bottom - top))
    else:
        place += _one_off(dice, timeline, frames)
    c, s = jnp.cos(tilt), jnp.sin(tilt)
    x, angle = mirror * x, jnp.where(mirror < 0, -angle, angle)
    x, y = (
        scale * (c * x - s * y) + place[:1],
        scale * (s * x + c * y) + place[1:],
    )
    angle, a, b = angle + tilt, a * scale, b * scale

    # Things that move but do not repeat, or have their own rhythm; and a thing in the way.
    clutter = config.has("clutter")
    others = [
        _distractor(dice, config, (half_x, half_y), 1.0 if clutter else probability)
        for probability in (config.distractor, 0.3 * config.distractor, 0.0)
    ]
    block = _body(
        place[0] + dice.uniform(-0.1, 0.1),
        place[1] + dice.uniform(-0.1, 0.1),
        TURN * dice.uniform(),
        dice.uniform(0.3, 0.5),
        dice.uniform(0.25, 0.4),
        dice.uniform(0, 0.6),
    )
    # The activity disappears for a while, again and again.
    span = dice.uniform(0.15, 0.4)
    away = jnp.mod(time / span + dice.uniform(), 1.0) < dice.uniform(0.25, 0.5)
    hidden = occluded | (away & config.has("disappearing activity"))  # [T]
    block = jnp.where(hidden, block, jnp.asarray(HIDDEN)[:, None])
    # Drawing order: distractors behind, actors, the occluder before them.
    actors = jnp.stack([x, y, angle, a, b, roundness], axis=1)  # [ACTORS, 6, T]
    tracks = jnp.concatenate([jnp.stack(others), actors, block[None]])  # [SLOTS, 6, T]
    return Tracks(*jnp.moveaxis(tracks, 1, 0)), kind


def _distractor(
    dice: Dice, config: SceneConfig, half: tuple[float, float], probability: float
) -> jax.Array:
    """A body that roams, or circles at its own tempo. [6, T]"""
    time = jnp.arange(config.frames) / config.frames
    path = dice.uniform(-1, 1, (2, 1)) * jnp.asarray([[half[0]], [half[1]]])
    speeds, offsets = dice.uniform(0.05, 0.5, (2, 2, 1)), dice.uniform(shape=(2, 2, 1))
    roam = 0.25 * jnp.sum(jnp.sin(TURN * (speeds * time[None, None] + offsets)), axis=0)
    roam += 0.8 * dice.uniform(-1, 1, (2, 1)) * (time - 0.5)[None]  # [2, T]
    turns = TURN * jnp.arange(config.frames)[None] / dice.log_uniform(8, 120)
    turns = turns + TURN * dice.uniform(shape=(2, 1))  # [2, T]
    circle = dice.uniform(0, 0.08, (2, 1)) * jnp.sin(turns)
    roam = jnp.where(dice.chance(config.distractor_rhythm), circle, roam)
    size = dice.uniform(0.05, 0.15, (2,))
    body = _body(
        path[0] + roam[0],
        path[1] + roam[1],
        dice.uniform(-2, 2) * time + TURN * dice.uniform(),
        size[0],
        size[1],
        dice.uniform(),
    )
    return _show(body, dice.chance(probability))


def _one_off(dice: Dice, timeline: Timeline, frames: int) -> jax.Array:
    """Movements before and after the repetitions: coming, going, shifting. [2, T]"""
    instant = jnp.arange(frames, dtype=jnp.float32)
    far = dice.uniform(-0.8, 0.8, (2, 2, 1)) * dice.chance(0.35, (2, 1, 1))
    slow = dice.uniform(4, 20, (2, 1))
    before = jnp.clip((timeline.begin - 1 - instant) / slow[0], 0, 1)
    after = jnp.clip((instant - timeline.end - 1) / slow[1], 0, 1)
    moved = jnp.stack([before, after])
    moved = moved * moved * (3 - 2 * moved)  # [2, T]
    return jnp.where(timeline.repeats, jnp.sum(far * moved[:, None], axis=0), 0.0)
