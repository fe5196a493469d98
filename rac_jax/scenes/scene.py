"""A procedural scene: frames, sound and labels as a pure function of a key."""

import zlib

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.ops import density
from rac_jax.scenes import contacts, joints, motion, picture, sound, timeline
from rac_jax.scenes.config import PICTURE_DAMAGE, SOUND_DAMAGE, SceneConfig


@flax.struct.dataclass
class Scene:
    """One scene and everything that is known about it; times in seconds from its start.

    Attributes:
      frames: [T, H, W, 3] uint8.
      waveform: [S] float32 in [-1, 1].
      count: scalar, repetitions; a fraction where the scene cuts a cycle.
      cycles: [K, 2] start and end of every cycle; may lie outside a cut scene.
      cycles_mask: [K] bool, which of them there are, at least in part.
      phase: [T] in [0, 1); 0 outside of cycles.
      stage: [T] within the motion's stroke, in [0, 1]: 0.5 where it turns round; 0 outside.
      periodicity: [T] bool, inside a cycle.
      rate: [T] repetitions per frame; the count of frames [i, j) is its sum.
      period: [T] frames per repetition; 0 outside of cycles.
      density: [T] a bump of area 1 in every cycle, the density map of LMRL.
      mask: [T, H, W] bool, where the things are that take part in the motion.
      joints: [T, 33, 3] the pose of the person in it, as a pose estimator might find it, see
        `joints.make_joints`; zeros in scenes without a person.
      events: [K] times of the cycles' main sounds.
      events_mask: [K] bool, heard and inside the scene.
      contacts: [T] bool, frames in which something strikes something, heard or not.
      repeats: scalar bool.
      kind: scalar int32, the motion, index into KINDS.
      picture_damage: scalar int32, index into PICTURE_DAMAGE.
      sound_damage: scalar int32, index into SOUND_DAMAGE.
    """

    frames: jax.Array
    waveform: jax.Array
    count: jax.Array
    cycles: jax.Array
    cycles_mask: jax.Array
    phase: jax.Array
    stage: jax.Array
    periodicity: jax.Array
    rate: jax.Array
    period: jax.Array
    density: jax.Array
    mask: jax.Array | None
    joints: jax.Array | None
    events: jax.Array
    events_mask: jax.Array
    contacts: jax.Array
    repeats: jax.Array
    kind: jax.Array
    picture_damage: jax.Array
    sound_damage: jax.Array


def _key(key: jax.Array, name: str) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def _damage(
    key: jax.Array, kinds: tuple[str, ...], probability: jax.Array
) -> jax.Array:
    """Index of a damage, 0 for none."""
    hit, which = jax.random.split(key)
    index = jax.random.randint(which, (), 1, len(kinds))
    return jnp.where(jax.random.bernoulli(hit, probability), index, 0)


@flax.struct.dataclass
class Staging:
    """What a scene is drawn from: when, what and how, before a pixel is drawn.

    Attributes:
      timeline: its cycles.
      tracks: where its bodies are.
      kind: scalar int32, the motion, index into KINDS.
      look: how it is filmed.
      picture_damage: scalar int32, index into PICTURE_DAMAGE.
      sound_damage: scalar int32, index into SOUND_DAMAGE.
    """

    timeline: timeline.Timeline
    tracks: motion.Tracks
    kind: jax.Array
    look: picture.Look
    picture_damage: jax.Array
    sound_damage: jax.Array


def stage_scene(key: jax.Array, config: SceneConfig) -> Staging:
    """Lays a scene out: what `render_scene` draws of the same key, and labels are worked out from.

    Args:
      key: PRNG key.
      config: the distribution of scenes.

    Returns:
      The staging.
    """
    # Which of picture and sound is damaged: each by its own chance, or exactly one of them.
    drawn = jax.random.uniform(_key(key, "one damaged"), (2,))
    alone, sees = drawn[0] < config.one_damaged, drawn[1] < 0.5
    picture_damage = _damage(
        _key(key, "picture damage"),
        PICTURE_DAMAGE,
        jnp.where(alone, jnp.where(sees, 1.0, 0.0), config.picture_damage),
    )
    sound_damage = _damage(
        _key(key, "sound damage"),
        SOUND_DAMAGE,
        jnp.where(alone, jnp.where(sees, 0.0, 1.0), config.sound_damage),
    )
    # First when the repetitions happen, then what moves with them, and how it looks. Each has a
    # key of its own, so that a change to one leaves the others as they were.
    when = timeline.make_timeline(_key(key, "timeline"), config)
    occluded = picture_damage == PICTURE_DAMAGE.index("occluded")
    tracks, kind = motion.make_tracks(_key(key, "motion"), when, config, occluded)
    look = picture.make_look(_key(key, "look"), config, picture_damage)
    return Staging(when, tracks, kind, look, picture_damage, sound_damage)


def render_scene(key: jax.Array, config: SceneConfig) -> Scene:
    """Renders a scene.

    Pure, and free of branches on values: `jax.jit(render_scene, static_argnums=1)`, and
    `jax.vmap` over keys. Under jit, what the caller does not use is not computed.

    Args:
      key: PRNG key; the same key gives the same scene.
      config: the distribution of scenes.

    Returns:
      The scene.
    """
    staging = stage_scene(key, config)
    when, tracks, look = staging.timeline, staging.tracks, staging.look
    sound_key = _key(key, "sound")
    heard = sound.make_sound(
        sound_key, when, config, staging.sound_damage, staging.kind
    )
    base = jnp.any(tracks.a[motion.OTHERS] > 0)  # what strokes and balls would hit
    # The labels: from frames to seconds, without cycles that a cut scene does not show at all.
    spans = jnp.stack([when.starts, when.starts + when.lengths], axis=1)  # frames
    cycles = spans / config.fps
    visible = (cycles[:, 1] > 0) & (cycles[:, 0] < config.duration_s)
    return Scene(
        frames=picture.draw_frames(tracks, look, config),
        waveform=heard.waveform,
        count=jnp.sum(when.rate),
        cycles=cycles,
        cycles_mask=when.valid & visible,
        phase=when.phase,
        stage=when.stage,
        periodicity=when.periodicity,
        rate=when.rate,
        period=jnp.where(when.periodicity, 1 / jnp.maximum(when.rate, 1e-4), 0.0),
        density=density.density_map(spans, when.valid, config.frames),
        mask=picture.draw_mask(tracks, look, config),
        joints=joints.make_joints(
            _key(key, "joints"), tracks, look, staging.kind, config
        ),
        events=heard.events,
        events_mask=heard.events_mask,
        contacts=contacts.contact_frames(when, staging.kind, base, config.frames),
        repeats=when.repeats,
        kind=staging.kind,
        picture_damage=staging.picture_damage,
        sound_damage=staging.sound_damage,
    )
