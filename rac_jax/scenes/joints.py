"""The pose of the person in a scene, in the joints of BlazePose.

Only a "figure" is a whole person; a "limb" is one arm with a trunk and a head, if these are shown.
Joints that a body of ours does not tell apart lie together: eyes, ears and mouth in the head,
fingers in the wrist, heel and toes in the ankle; knees and elbows of straight limbs in their
middle. As an estimator finds them they are a little off, and now and then one is missed.
"""

import jax
import jax.numpy as jnp

from rac_jax.ops.skeletons import BLAZEPOSE_JOINTS
from rac_jax.scenes.config import KINDS, SceneConfig
from rac_jax.scenes.motion import OTHERS, Tracks
from rac_jax.scenes.picture import Look, Pose, make_pose

NOISE = 0.004  # standard deviation of a joint's place, in sides of the picture
MISSED = 0.02  # share of joints that are not found in a frame
# What lies where another joint does.
TOGETHER = {
    "nose": ("eye inner", "eye", "eye outer", "ear"),
    "wrist": ("pinky", "index", "thumb"),
    "ankle": ("heel", "foot index"),
}
Places = dict[str, jax.Array]  # a joint to [T, 3]


def make_joints(
    key: jax.Array, tracks: Tracks, look: Look, kind: jax.Array, config: SceneConfig
) -> jax.Array:
    """The joints of a scene's person.

    Args:
      key: PRNG key, of what an estimator gets wrong.
      tracks: where the bodies are.
      look: whose camera sees them.
      kind: scalar int32, index into `KINDS`.
      config: sizes.

    Returns:
      [T, 33, 3], see `rac_jax.ops.skeletons`: 1 where a joint is found inside of the picture,
      zeros where it is not; nothing is known of what covers it.
    """
    frames = config.frames
    found = jnp.zeros((frames, len(BLAZEPOSE_JOINTS), 3))
    persons = [name for name in PERSONS if name in config.kinds]
    if not persons:
        return found
    pose = make_pose(tracks, look, frames)
    nowhere = jnp.zeros((frames, 3))
    for name in persons:
        places = PERSONS[name](pose)
        rows = [places.get(joint, nowhere) for joint in BLAZEPOSE_JOINTS]
        own = jnp.stack(rows, axis=1)  # [T, 33, 3]
        found = jnp.where(kind == KINDS.index(name), own, found)

    # From the shorter side as a unit to each side as its own.
    short = min(config.height, config.width)
    sides = jnp.asarray([config.width / short, config.height / short])
    where, how = jax.random.split(key)
    places = found[..., :2] / sides[None, None] + NOISE * jax.random.normal(
        where, found[..., :2].shape
    )
    missed = jax.random.bernoulli(how, MISSED, found.shape[:2])
    inside = jnp.all(jnp.abs(places) <= 0.5, axis=-1)
    seen = ((found[..., 2] > 0) & inside & ~missed)[..., None]  # [T, 33, 1]
    return jnp.concatenate([places * seen, seen], axis=-1)


def _centre(pose: Pose, body: int) -> jax.Array:
    """The middle of an actor's body, and whether it is shown. [T, 3]"""
    one = OTHERS + body
    return jnp.stack([pose.x[one], pose.y[one], pose.a[one] > 0], axis=-1)


def _ends(pose: Pose, body: int, near: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The ends of an actor's bone, the one that is nearer to a place [T, 3] first. [T, 3] each"""
    one = OTHERS + body
    reach = (pose.a[one] - pose.b[one])[:, None]  # [T, 1]
    along = jnp.stack([jnp.cos(pose.angle[one]), jnp.sin(pose.angle[one])], axis=-1)
    middle = _centre(pose, body)
    step = jnp.concatenate([reach * along, jnp.zeros_like(reach)], axis=-1)
    # A mirrored bone has its ends the other way round, so they are told by what they join.
    first, last = middle - step, middle + step
    swap = _apart(first, near) > _apart(last, near)
    return jnp.where(swap, last, first), jnp.where(swap, first, last)


def _apart(a: jax.Array, b: jax.Array) -> jax.Array:
    """Squared distances. [T, 1]"""
    return jnp.sum(jnp.square(a[:, :2] - b[:, :2]), axis=-1, keepdims=True)


def _figure(pose: Pose) -> Places:
    """A whole person: legs, trunk, head and arms are bodies 0 and 1, 2, 3, 4 and 5."""
    trunk, head = _centre(pose, 2), _centre(pose, 3)
    # Shoulders are a little under the head.
    neck = trunk + 0.55 * (head - trunk)
    found = _head(head)
    for side, leg, arm in (("right", 0, 4), ("left", 1, 5)):
        hip, ankle = _ends(pose, leg, trunk)
        shoulder, wrist = _ends(pose, arm, neck)
        found |= {
            f"{side} hip": hip,
            f"{side} knee": (hip + ankle) / 2,
            f"{side} shoulder": shoulder,
            f"{side} elbow": (shoulder + wrist) / 2,
        }
        found |= _together("ankle", side, ankle) | _together("wrist", side, wrist)
    return found


def _arm(pose: Pose) -> Places:
    """One arm: trunk, upper arm, forearm, hand and head are bodies 0, 1, 2, 3 and 5."""
    hand = _centre(pose, 3)
    wrist, elbow = _ends(pose, 2, hand)
    _, shoulder = _ends(pose, 1, elbow)
    found = _head(_centre(pose, 5)) | _together("wrist", "left", wrist)
    # The trunk's middle lies over the hip as far as the picture shows of it.
    trunk = _centre(pose, 0)
    return found | {"left shoulder": shoulder, "left elbow": elbow, "left hip": trunk}


def _head(place: jax.Array) -> Places:
    """All joints of the face."""
    names = [f"{side} {one}" for side in ("left", "right") for one in TOGETHER["nose"]]
    return dict.fromkeys(["nose", *names, "mouth left", "mouth right"], place)


def _together(joint: str, side: str, place: jax.Array) -> Places:
    """A joint of a side, and those that lie where it does."""
    return dict.fromkeys([f"{side} {one}" for one in (joint, *TOGETHER[joint])], place)


# Motions of a person, and where its joints are.
PERSONS = {"figure": _figure, "limb": _arm}
