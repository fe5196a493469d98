"""Writing a long video piece by piece, so that it need not fit into memory."""

import pathlib
from types import TracebackType
from typing import Self

import av
import numpy as np

KEYFRAME_EVERY = 50  # frames


class LongVideo:
    """A file that grows; it has its name only once it is complete.

    Args:
      path: of the file.
      size: (height, width) of its frames; others are scaled to it.
      fps: frames per second, a whole number.
      rate: samples per second, 0 for no sound.
    """

    def __init__(self, path: pathlib.Path, size: tuple[int, int], fps: int, rate: int):
        self._path, self._draft = path, path.with_suffix(".part.mp4")
        self._file = av.open(self._draft, "w")
        self._picture = self._file.add_stream("libx264", rate=fps)
        self._picture.height, self._picture.width = size
        self._shape = size[::-1]
        self._picture.pix_fmt = "yuv420p"
        self._picture.options = {
            "crf": "23",
            "preset": "ultrafast",
            "g": str(KEYFRAME_EVERY),
        }
        self._track = None
        if rate:
            self._track = self._file.add_stream("aac", rate=rate, layout="mono")
        self._fps, self._rate, self._heard, self.seen = fps, rate, 0, 0

    @property
    def end_s(self) -> float:
        """How long it is by now."""
        return self.seen / self._fps

    def add(self, frames: np.ndarray, samples: np.ndarray) -> None:
        """Appends frames uint8 [T, H, W, 3] and samples float [S] of as many seconds."""
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels))
            frame = frame.reformat(*self._shape, "yuv420p", interpolation="BILINEAR")
            self._file.mux(self._picture.encode(frame))
        self.seen += len(frames)
        if self._track is None:
            return
        clipped = np.clip(samples, -1, 1)[None].astype(np.float32)
        block = av.AudioFrame.from_ndarray(clipped, "fltp", "mono")
        block.sample_rate, block.pts = self._rate, self._heard
        self._heard += len(samples)
        self._file.mux(self._track.encode(block))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._file.mux(self._picture.encode(None))
            if self._track is not None:
                self._file.mux(self._track.encode(None))
        self._file.close()
        if kind is None:
            self._draft.rename(self._path)
