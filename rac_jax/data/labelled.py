"""A labelled part of a video as training reads it: small frames, spectrogram and labels, decoded.

The same record comes from a media file with its annotation, from the cache of decoded videos
(`clip_cache`) and from procedural scenes, so nothing after it asks where a clip came from.
"""

import dataclasses
import json
import struct

import numpy as np

from rac_jax.data.annotations import Annotation

SCHEMA = 1
BINS = 257  # frequency rows
LABELS = ("share", "cycles")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledVideo:
    """One labelled part of one video; frame 0 is its first frame.

    Attributes:
      video_id: unique within its data set.
      frames: [T, H, W, 3] uint8, T at least 1.
      fps: frames per second.
      columns: [257, n] float16, the standardised log spectrogram of the part's sound, None
        without sound.
      count: repetitions in the part, at least 0.
      cycles: [K, 2] float32, start and end of every cycle in frames; a cycle may begin before
        the part or end after it. None where unknown.
      label: what is repeated, "" if unknown.
      challenges: names of what makes the part hard.

    Raises:
      ValueError: without frames, or for cycles that are not [K, 2] or do not end after they start.
    """

    video_id: str
    frames: np.ndarray
    fps: float
    columns: np.ndarray | None
    count: float
    cycles: np.ndarray | None = None
    label: str = ""
    challenges: tuple[str, ...] = ()

    def __post_init__(self):
        if not len(self.frames):
            raise ValueError(f"{self.video_id}: has no frames")
        if self.cycles is None:
            return
        if self.cycles.ndim != 2 or self.cycles.shape[1] != 2:
            shape = list(self.cycles.shape)
            raise ValueError(f"{self.video_id}: cycles must be [K, 2], not {shape}")
        if not np.all(self.cycles[:, 1] > self.cycles[:, 0]):
            raise ValueError(f"{self.video_id}: a cycle does not end after its start")

    def progress(self, times: np.ndarray, labels: str = "share") -> np.ndarray:
        """Repetitions done by given instants.

        Args:
          times: [n] in frames; what lies outside of the part does not count.
          labels: "share" spreads the count evenly over the part (paper 1, section 4.3: "count
            scaled by the covered share"); "cycles" goes by the cycles, and needs them.

        Returns:
          [n] float64, not falling with time; the count between two instants is a difference.

        Raises:
          ValueError: for other labels, or "cycles" where the video has none.
        """
        length = len(self.frames)
        times = np.clip(np.asarray(times, np.float64), 0, length)
        if labels == "share":
            return self.count * times / length
        if labels != "cycles":
            raise ValueError(f"labels: {labels!r} is not one of {', '.join(LABELS)}")
        if self.cycles is None:
            raise ValueError(
                f"{self.video_id}: has no cycles; use labels = 'share' for this data set"
            )
        starts, ends = np.asarray(self.cycles, np.float64).T
        edges = np.append(times, 0.0)[:, None]  # [n + 1, 1]
        done = np.clip((edges - starts) / (ends - starts), 0, 1).sum(1)
        return done[:-1] - done[-1]

    def repetitions(self, first: float, last: float, labels: str = "share") -> float:
        """Repetitions between two instants, `progress` of the second less the first."""
        before, after = self.progress(np.array([first, last]), labels)
        return float(after - before)

    @property
    def period(self) -> float:
        """Frames per repetition: of the cycles where they are known, else of the whole part.

        Infinite without repetitions.
        """
        if self.cycles is not None and len(self.cycles):
            return float(np.mean(self.cycles[:, 1] - self.cycles[:, 0]))
        return len(self.frames) / self.count if self.count > 0 else float("inf")


def annotated(
    annotation: Annotation,
    frames: np.ndarray,
    fps: float,
    columns: np.ndarray | None,
    start_s: float,
) -> LabelledVideo:
    """Joins an annotation with its decoded part.

    Args:
      annotation: of the part; its cycles are in seconds of the file.
      frames: [T, H, W, 3] uint8.
      fps: frames per second.
      columns: [257, n] spectrogram of the part, or None.
      start_s: time of the part's first frame in the file.

    Returns:
      The record; its `video_id` carries the part's start, as one file may have several parts.
    """
    cycles = annotation.cycles_s
    if cycles is not None:
        cycles = ((np.asarray(cycles) - start_s) * fps).astype(np.float32)
    return LabelledVideo(
        video_id=f"{annotation.video_id}@{start_s:.3f}",
        frames=frames,
        fps=float(fps),
        columns=None if columns is None else columns.astype(np.float16),
        count=float(annotation.count),
        cycles=cycles,
        label=annotation.label,
        challenges=annotation.challenges,
    )


_ARRAYS = ("frames", "columns", "cycles")


def to_bytes(video: LabelledVideo) -> bytes:
    """Packs a record: a JSON header with its length before it, then the arrays' raw bytes."""
    header, parts = {"schema": SCHEMA, "arrays": {}}, []
    for field in dataclasses.fields(video):
        value = getattr(video, field.name)
        if field.name in _ARRAYS:
            if value is not None:
                little = value.dtype.newbyteorder("<")
                parts.append(np.ascontiguousarray(value, little).tobytes())
                header["arrays"][field.name] = [little.str, list(value.shape)]
        else:
            header[field.name] = value
    text = json.dumps(header).encode()
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def from_bytes(data: bytes) -> LabelledVideo:
    """Unpacks what `to_bytes` packed.

    Raises:
      ValueError: if the bytes are something else or were cut.
    """
    try:
        (length,) = struct.unpack_from("<I", data)
        header = json.loads(data[4 : 4 + length])
        if header.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        arrays, at = {}, 4 + length
        for name, (dtype, shape) in header.pop("arrays").items():
            size = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, dtype, size, at).reshape(shape)
            arrays[name] = array
            at += array.nbytes
        if at != len(data):
            raise ValueError("bytes are left over")
        header["challenges"] = tuple(header["challenges"])
        return LabelledVideo(**{"columns": None, "cycles": None} | header | arrays)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record of a labelled video ({error})") from None
