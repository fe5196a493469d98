"""Skeletons of joints: which there are, what they are joined to, and a camera that moves.

Two layouts: the 33 joints of BlazePose (MediaPipe) and the 18 of OpenPose (the Kinetics-Skeleton
data set). A pose is [V, 3]: x to the right and y down from the middle of the picture, whose sides
are 1 long, and how sure the joint is, 0 to 1; a joint that is not seen is all zeros.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

BLAZEPOSE_JOINTS = (
    "nose",
    *("left eye inner", "left eye", "left eye outer"),
    *("right eye inner", "right eye", "right eye outer"),
    *("left ear", "right ear", "mouth left", "mouth right"),
    *("left shoulder", "right shoulder", "left elbow", "right elbow"),
    *("left wrist", "right wrist", "left pinky", "right pinky"),
    *("left index", "right index", "left thumb", "right thumb"),
    *("left hip", "right hip", "left knee", "right knee"),
    *("left ankle", "right ankle", "left heel", "right heel"),
    *("left foot index", "right foot index"),
)
OPENPOSE_JOINTS = (
    *("nose", "neck"),
    *("right shoulder", "right elbow", "right wrist"),
    *("left shoulder", "left elbow", "left wrist"),
    *("right hip", "right knee", "right ankle"),
    *("left hip", "left knee", "left ankle"),
    *("right eye", "left eye", "right ear", "left ear"),
)
# MediaPipe joins face, mouth and body each in itself. The paper does not say what joined them: here
# the nose is joined to both shoulders and to both corners of the mouth.
BLAZEPOSE_EDGES = (
    *((0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10)),
    *((11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19)),
    *((12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20)),
    *((11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28)),
    *((27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32)),
    *((0, 11), (0, 12), (0, 9), (0, 10)),
)
OPENPOSE_EDGES = (
    *((4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8)),
    *((11, 5), (8, 2), (5, 1), (2, 1), (0, 1), (15, 0), (14, 0)),
    *((17, 15), (16, 14)),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Joints of a skeleton.

    Attributes:
      joints: their names, in order.
      edges: pairs of neighbours.
      centre: the joints in the middle, from the nearest of which others are near or far.
    """

    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    centre: tuple[int, ...]


LAYOUTS = {
    # BlazePose has no neck: both shoulders are its middle, so that left and right are alike.
    "blazepose-33": Layout(BLAZEPOSE_JOINTS, BLAZEPOSE_EDGES, (11, 12)),
    "openpose-18": Layout(OPENPOSE_JOINTS, OPENPOSE_EDGES, (1,)),
}

# Of ST-GCN's simulated camera: what is drawn at both ends of a clip (Yan et al., 2018).
ANGLES = np.deg2rad([-10.0, -5.0, 0.0, 5.0, 10.0])
SCALES = np.array([0.9, 1.0, 1.1])
SHIFTS = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])


def find_layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
      ValueError: for another one; the known ones are listed.
    """
    if name not in LAYOUTS:
        raise ValueError(f"layout: {name!r} is not one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def to_openpose(poses: jax.Array) -> jax.Array:
    """OpenPose's joints of BlazePose's, by their names.

    Args:
      poses: [..., 33, C]; the last of C is how sure a joint is.

    Returns:
      [..., 18, C]; the neck is the middle of the shoulders, as sure as the less sure of them, and
      all zeros where that is 0.
    """
    names = [name for name in OPENPOSE_JOINTS if name != "neck"]
    places = [BLAZEPOSE_JOINTS.index(name) for name in names]
    known = poses[..., np.array(places), :]
    sides = [BLAZEPOSE_JOINTS.index(f"{side} shoulder") for side in ("left", "right")]
    shoulders = poses[..., np.array(sides), :]  # [..., 2, C]
    sure = jnp.min(shoulders[..., -1], axis=-1)[..., None]  # [..., 1]
    middle = jnp.where(sure > 0, jnp.mean(shoulders[..., :-1], axis=-2), 0)
    neck = jnp.concatenate([middle, sure], axis=-1)[..., None, :]
    place = OPENPOSE_JOINTS.index("neck")
    before, after = known[..., :place, :], known[..., place:, :]
    return jnp.concatenate([before, neck, after], axis=-2)


def move_camera(key: jax.Array, poses: jax.Array) -> jax.Array:
    """Poses before a simulated camera that turns, zooms and shifts from one end to the other.

    ST-GCN's augmentation (Yan et al., 2018), which paper 3 takes: an angle of -10 to 10 degrees,
    a scale of .9 to 1.1 and shifts of -.2 to .2 are drawn for the first and the last frame, and
    lie on a line in between. Joints that are not seen stay zeros.

    Args:
      key: PRNG key.
      poses: [T, ..., V, 3].

    Returns:
      [T, ..., V, 3].
    """
    frames = poses.shape[0]
    along = jnp.linspace(0, 1, frames).reshape(-1, *(1,) * (poses.ndim - 2))

    def drawn(number, choices):
        first, last = jax.random.choice(
            jax.random.fold_in(key, number), jnp.asarray(choices, jnp.float32), (2,)
        )
        return first + (last - first) * along  # [T, ..., 1]

    angle, scale = drawn(0, ANGLES), drawn(1, SCALES)
    x, y, sure = jnp.moveaxis(poses, -1, 0)  # each [T, ..., V]
    c, s = scale * jnp.cos(angle), scale * jnp.sin(angle)
    moved = c * x - s * y + drawn(2, SHIFTS), s * x + c * y + drawn(3, SHIFTS)
    seen = sure > 0
    return jnp.stack([*(jnp.where(seen, one, 0) for one in moved), sure], axis=-1)
