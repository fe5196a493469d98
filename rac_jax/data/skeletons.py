"""Skeletons in files, of whatever source, as one record; numpy only.

Read are Kinetics-Skeleton's JSON (Yan et al., 2018: OpenPose's 18 joints at 30 frames per second)
and MediaPipe's 33 landmarks as CSV, JSON or npz. What is wrong with a file is one line that names
the file and the place in it.

- Kinetics-Skeleton: {"data": [{"frame_index", "skeleton": [{"pose": [x, y, ...], "score":
  [...]}]}], "label"}; of up to 5 people of a frame the 2 with the highest scores are kept.
- CSV: a line per frame, "time_s" (or "frame"), then NAME_x, NAME_y and NAME_visibility of every
  joint, NAME as MediaPipe's ("left_shoulder", any case) or its number; further columns, such as
  NAME_z, are not looked at. An empty field, or a visibility of 0, is a joint that was not found.
- JSON: {"fps", "frames": [{"time_s", "landmarks": [{"x", "y", "visibility"}, ...]}]}; no landmarks
  where nobody was found; "fps" or every "time_s".
- npz: "poses" [T, 33, 3] (x, y, visibility) or [T, 33, 4] (x, y, z, visibility), not a number where
  nobody was found, and "times_s" [T] or "fps".

Coordinates in all of these are shares of the picture's width and height, from its left upper
corner.
"""

import csv
import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rac_jax.data import tables

KINETICS_FPS = 30.0
READ_PEOPLE, KEPT_PEOPLE = 5, 2
OPENPOSE, BLAZEPOSE = "openpose-18", "blazepose-33"
JOINTS = {OPENPOSE: 18, BLAZEPOSE: 33}
FARTHEST = 10.0  # shares of a picture's side; a place beyond is in pixels, or nonsense
# MediaPipe's names, in its order.
LANDMARKS = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
    *("right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear"),
    *("mouth_left", "mouth_right", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_pinky", "right_pinky", "left_index", "right_index"),
    *("left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle", "left_heel", "right_heel"),
    *("left_foot_index", "right_foot_index"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Skeletons:
    """The poses of people in one video.

    Attributes:
      name: of the file.
      layout: of `JOINTS`.
      times_s: float64 [T] rising, when each frame begins, in seconds.
      poses: float32 [T, M, V, 3] of M people: x to the right and y down from the middle of the
        picture, whose sides are 1 long, and how sure, 0 to 1; zeros where a joint is not seen.
      label: what is done, "" where unknown.

    Raises:
      ValueError: for arrays that do not fit each other, or times that do not rise.
    """

    name: str
    layout: str
    times_s: np.ndarray
    poses: np.ndarray
    label: str = ""

    def __post_init__(self):
        shape = self.poses.shape
        joints = JOINTS[self.layout]
        if len(shape) != 4 or shape[1] < 1 or shape[2:] != (joints, 3):
            raise ValueError(
                f"{self.name}: poses are {list(shape)}, not [T, M, {joints}, 3]"
            )
        if self.times_s.shape != shape[:1]:
            raise ValueError(
                f"{self.name}: has {len(self.times_s)} times for {shape[0]} poses"
            )
        if not np.all(np.isfinite(self.times_s)) or np.any(np.diff(self.times_s) <= 0):
            raise ValueError(f"{self.name}: times do not rise")


def read_skeletons(path: str | os.PathLike) -> Skeletons:
    """Reads a file of skeletons, told apart by its name's end and what it holds.

    Raises:
      ValueError: if it is none, or something in it is wrong; one line with file and place.
      OSError: if it cannot be read.
    """
    path = pathlib.Path(path)
    readers: dict[str, Callable[[pathlib.Path], Skeletons]] = {
        ".csv": _read_csv,
        ".json": _read_json,
        ".npz": _read_npz,
    }
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: is no file of skeletons: {', '.join(readers)}")
    return readers[path.suffix.lower()](path)


def write_skeletons(record: Skeletons, path: str | os.PathLike) -> None:
    """Writes one person's poses of BlazePose as CSV, JSON or npz, by the name's end.

    Raises:
      ValueError: for another end of the name, or another layout.
      OSError: if it cannot be written.
    """
    path = pathlib.Path(path)
    writers: dict[str, Callable[[Skeletons, np.ndarray, pathlib.Path], None]] = {
        ".csv": _write_csv,
        ".json": _write_json,
        ".npz": _write_npz,
    }
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path}: must end in {', '.join(writers)}")
    if record.layout != BLAZEPOSE:
        raise ValueError(f"{path}: only {BLAZEPOSE} is written, not {record.layout}")
    poses = record.poses[:, 0].astype(np.float64)  # [T, 33, 3]
    poses[..., :2] += 0.5
    # Whole or not at all.
    draft = path.with_name(f".{path.name}.part")
    try:
        writers[path.suffix.lower()](record, poses, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _centred(place: str, found: np.ndarray) -> np.ndarray:
    """Poses as they are kept, of (x, y, how sure) in shares of the picture. [..., V, 3] float32"""
    sure = np.where(np.isfinite(found).all(-1), found[..., 2], 0.0)
    if np.any((sure < 0) | (sure > 1)):
        raise ValueError(
            f"{place}: a joint is {float(np.ravel(sure)[np.argmax(np.abs(sure))]):g} sure, "
            "not from 0 to 1"
        )
    seen = (sure > 0)[..., None]
    places = np.where(seen, found[..., :2] - 0.5, 0.0)
    if np.any(np.abs(places) > FARTHEST):
        raise ValueError(
            f"{place}: a joint lies at {float(np.abs(places).max()):g}, places must be shares "
            "of the picture, not pixels"
        )
    return np.concatenate([places, sure[..., None]], axis=-1).astype(np.float32)


def _read_json(path: pathlib.Path) -> Skeletons:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON: {error}") from None
    if isinstance(content, Mapping) and isinstance(content.get("data"), list):
        return _kinetics(path, content)
    if isinstance(content, Mapping) and isinstance(content.get("frames"), list):
        return _mediapipe(path, content)
    raise ValueError(f'{path}: has neither a list "data" nor a list "frames"')


def _kinetics(path: pathlib.Path, content: Mapping[str, Any]) -> Skeletons:
    """Kinetics-Skeleton's JSON; its frames are numbered from 1."""
    joints, found = JOINTS[OPENPOSE], {}
    for row, frame in enumerate(content["data"]):
        place = f"{path}: data[{row}]"
        number = _object(place, frame).get("frame_index")
        if not isinstance(number, int) or number < 1 or number in found:
            why = "comes twice" if number in found else "is no whole number from 1 on"
            raise ValueError(f"{place}.frame_index: {number!r} {why}")
        people = []
        for person, one in enumerate(frame.get("skeleton", ())[:READ_PEOPLE]):
            where = f"{place}.skeleton[{person}]"
            one = _object(where, one)
            pose = _numbers(f"{where}.pose", one.get("pose"), 2 * joints)
            score = _numbers(f"{where}.score", one.get("score"), joints)
            both = np.column_stack([pose.reshape(joints, 2), score])
            people.append(_centred(where, both))
        people.sort(key=lambda pose: -pose[:, 2].sum())
        found[number] = people[:KEPT_PEOPLE]
    if not found:
        raise ValueError(f"{path}: data has no frame")
    poses = np.zeros((max(found), KEPT_PEOPLE, joints, 3), np.float32)
    for number, people in found.items():
        for person, pose in enumerate(people):
            poses[number - 1, person] = pose
    times_s = np.arange(len(poses)) / KINETICS_FPS
    return Skeletons(str(path), OPENPOSE, times_s, poses, str(content.get("label", "")))


def _mediapipe(path: pathlib.Path, content: Mapping[str, Any]) -> Skeletons:
    joints, rows, times_s = JOINTS[BLAZEPOSE], [], []
    for row, frame in enumerate(content["frames"]):
        place = f"{path}: frames[{row}]"
        landmarks = _object(place, frame).get("landmarks") or []
        if len(landmarks) not in (0, joints):
            raise ValueError(
                f"{place}.landmarks: has {len(landmarks)} joints, not {joints} or none"
            )
        pose = np.zeros((joints, 3))
        for joint, one in enumerate(landmarks):
            where = f"{place}.landmarks[{joint}]"
            fields = [
                _object(where, one).get(name) for name in ("x", "y", "visibility")
            ]
            pose[joint] = _numbers(f"{where} x, y, visibility", fields, 3)
        rows.append(_centred(place, pose))
        times_s.append(frame.get("time_s"))
    if not rows:
        raise ValueError(f"{path}: frames are none")
    times = _times(path, times_s, content.get("fps"))
    poses = np.stack(rows)[:, None]  # [T, 1, 33, 3]
    return Skeletons(str(path), BLAZEPOSE, times, poses, str(content.get("label", "")))


def _read_npz(path: pathlib.Path) -> Skeletons:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: is no npz of plain arrays: {error}") from None
    if "poses" not in content:
        known = ", ".join(sorted(content)) or "nothing"
        raise ValueError(f'{path}: has no array "poses", but {known}')
    poses, joints = content["poses"], JOINTS[BLAZEPOSE]
    if poses.ndim != 3 or poses.shape[1] != joints or poses.shape[2] not in (3, 4):
        raise ValueError(
            f"{path}: poses are {list(poses.shape)}, not [T, {joints}, 3 or 4]"
        )
    if not np.issubdtype(poses.dtype, np.number) or not len(poses):
        raise ValueError(f"{path}: poses are {len(poses)} of type {poses.dtype}")
    found = _centred(str(path), poses[..., [0, 1, -1]].astype(np.float64))
    given = content["times_s"].ravel().tolist() if "times_s" in content else []
    fps = float(content["fps"]) if "fps" in content else None
    times = _times(path, given or [None] * len(poses), fps)
    return Skeletons(str(path), BLAZEPOSE, times, found[:, None])


def _read_csv(path: pathlib.Path) -> Skeletons:
    """A line per frame; see the module."""
    rows, times = [], []
    for line, cells in tables.read_rows(path, ()):
        cells = {name.lower(): text.strip() for name, text in cells.items()}
        when = "time_s" if "time_s" in cells else "frame"
        names = [when]
        for number, name in enumerate(LANDMARKS):
            lead = name if f"{name}_x" in cells else str(number)
            names += [f"{lead}_{field}" for field in ("x", "y", "visibility")]
        if missing := [name for name in names if name not in cells]:
            what = missing[0].replace("0_", "nose_").replace("frame", "time_s or frame")
            raise tables.wrong(path, 1, f"has no column {what}")
        try:
            time, *values = (float(cells[one] or "nan") for one in names)
        except ValueError as error:
            raise tables.wrong(path, line, str(error)) from None
        times.append(time / (1.0 if when == "time_s" else KINETICS_FPS))
        pose = np.array(values).reshape(len(LANDMARKS), 3)
        rows.append(_centred(f"{path.name}:{line}", pose))
    return Skeletons(str(path), BLAZEPOSE, np.array(times), np.stack(rows)[:, None])


def _object(place: str, value: Any) -> Mapping[str, Any]:
    """A JSON object."""
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"{place}: is no object")


def _numbers(place: str, values: Any, wanted: int) -> np.ndarray:
    """[wanted] float64."""
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (wanted,) or not np.isfinite(found).all():
        raise ValueError(f"{place}: must be {wanted} numbers")
    return found


def _times(path: pathlib.Path, given: Sequence[Any], fps: Any) -> np.ndarray:
    """[T] seconds of frames, of what is said of each, or of how many there are a second."""
    if all(one is not None for one in given):
        return _numbers(f"{path}: time_s", list(given), len(given))
    if any(one is not None for one in given):
        raise ValueError(f"{path}: only some frames have a time_s")
    if not isinstance(fps, int | float) or not fps > 0:
        raise ValueError(f"{path}: has neither times nor an fps above 0")
    return np.arange(len(given)) / fps


def _write_csv(record: Skeletons, poses: np.ndarray, path: pathlib.Path) -> None:
    fields = [f"{name}_{one}" for name in LANDMARKS for one in ("x", "y", "visibility")]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", *fields])
        for time_s, pose in zip(record.times_s, poses, strict=True):
            writer.writerow([f"{one:.6g}" for one in (time_s, *pose.ravel())])


def _write_json(record: Skeletons, poses: np.ndarray, path: pathlib.Path) -> None:
    frames = []
    for time_s, pose in zip(record.times_s.tolist(), poses, strict=True):
        landmarks = [
            dict(zip(("x", "y", "visibility"), np.round(one, 6).tolist(), strict=True))
            for one in pose
        ]
        found = bool(pose[:, 2].any())
        frames.append({"time_s": time_s, "landmarks": landmarks if found else []})
    content = {"label": record.label, "frames": frames}
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_npz(record: Skeletons, poses: np.ndarray, path: pathlib.Path) -> None:
    # Of an open file, so that no ".npz" is added to the draft's name.
    with open(path, "wb") as file:
        np.savez_compressed(
            file, poses=poses.astype(np.float32), times_s=record.times_s
        )
