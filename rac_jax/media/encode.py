"""Writing videos: H.264 and AAC, frames and samples as they come."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterable
from fractions import Fraction
from typing import Self

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from rac_jax import drafts

AAC_RATES = (
    7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000,
)  # fmt: skip
AUDIO_BITS_PER_S = 96_000
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
BT709 = 1  # matrix, primaries and transfer have the same number in ITU-T H.273

# swscale's shortcuts without these are up to two grey levels too dark.
EXACT = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class VideoWriter:
    """Encodes a video file; it appears under its name when it is complete.

    A context manager: what was encoded goes to a temporary name beside the file, which is renamed
    at the end of the block, or removed if the block raises. Frames and samples may be written in
    any order; only their encoded form waits in memory for the other stream.

        with VideoWriter("out.mp4", fps=25, size=(112, 112), audio_rate=22050) as writer:
            writer.write(frames)
            writer.write_audio(samples)

    Args:
      path: the file; its suffix names the container (.mp4, .m4v, .mov, .mkv).
      fps: frames per second, from 0.01 to 1000.
      size: (height, width) of the frames. H.264 in yuv420p wants even numbers: odd ones get one
        more row or column, a copy of the last.
      audio_rate: samples per second of the mono sound, None for no sound.
      crf: quality of the picture, from 0 (lossless) to 51; about 6 halve the size of the file.

    Raises:
      ValueError: for arguments out of range.
      OSError: if the file cannot be written, on entering.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        fps: float,
        size: tuple[int, int],
        audio_rate: int | None = None,
        crf: int = 20,
    ):
        if not 0.01 <= fps <= 1000:
            raise ValueError(f"fps: must be from 0.01 to 1000, not {fps}")
        height, width = (int(length) for length in size)
        if height < 1 or width < 1:
            raise ValueError(f"size: must be at least 1 by 1, not {height} by {width}")
        if audio_rate is not None and audio_rate not in AAC_RATES:
            known = ", ".join(map(str, AAC_RATES))
            raise ValueError(f"audio_rate: {audio_rate} is not one of {known}")
        if not 0 <= crf <= 51:
            raise ValueError(f"crf: must be from 0 to 51, not {crf}")
        self.path = pathlib.Path(path)
        if self.path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}")
        self._size = (height, width)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._audio_rate = audio_rate
        self._crf = crf
        self._container = None

    def __enter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "no such folder to write into", str(self.path.parent)
            )
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(self.path))
        self._frames = self._samples = 0
        # What was entered is left in turn: the encoder first, then the draft.
        with contextlib.ExitStack() as exits:
            draft = exits.enter_context(drafts.draft_file(self.path))
            self._container = av.open(
                f"file:{draft}", "w", options={"movflags": "+faststart"}
            )
            exits.push(self._finish)
            self._picture = self._add_picture()
            self._sound = self._add_sound() if self._audio_rate else None
            self._exits = exits.pop_all()
        return self

    def _add_picture(self):
        stream = self._container.add_stream("libx264", rate=self._rate)
        height, width = self._size
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / self._rate
        stream.codec_context.colorspace = BT709
        stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        stream.codec_context.color_range = 1  # limited
        self._reformatter = VideoReformatter()
        stream.options = {"crf": str(self._crf), "preset": "veryfast"}
        return stream

    def _add_sound(self):
        stream = self._container.add_stream("aac", rate=self._audio_rate, layout="mono")
        stream.bit_rate = AUDIO_BITS_PER_S
        return stream

    def write(self, frames: np.ndarray) -> None:
        """Appends frames.

        Args:
          frames: uint8 [n, H, W, 3], RGB, of the size given at the beginning.

        Raises:
          ValueError: for another type or shape.
        """
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.shape[1:] != (*self._size, 3):
            height, width = self._size
            raise ValueError(
                f"frames: must be uint8 [n, {height}, {width}, 3], not {frames.dtype} "
                f"{list(frames.shape)}"
            )
        height, width = self._size
        if height % 2 or width % 2:
            margins = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
            frames = np.pad(
                frames, margins, mode="edge"
            )  # [n, H + H % 2, W + W % 2, 3]
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame = self._reformatter.reformat(
                frame,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                interpolation=EXACT,
                threads=1,
            )
            frame.pts = self._frames
            frame.time_base = 1 / self._rate
            self._frames += 1
            self._container.mux(self._picture.encode(frame))

    def write_audio(self, samples: np.ndarray) -> None:
        """Appends mono sound.

        Args:
          samples: float [n] in -1..1; what lies outside is clipped.

        Raises:
          ValueError: for another shape, or if the file was opened without sound.
        """
        if self._sound is None:
            raise ValueError("write_audio: the file was opened without audio_rate")
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples: must be [n], not {list(samples.shape)}")
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(
            np.clip(samples, -1, 1)[None], format="fltp", layout="mono"
        )
        frame.sample_rate = self._audio_rate
        frame.time_base = Fraction(1, self._audio_rate)
        frame.pts = self._samples
        self._samples += len(samples)
        self._container.mux(self._sound.encode(frame))

    def __exit__(self, *failure) -> None:
        self._exits.__exit__(*failure)

    def _finish(self, kind, error, trace) -> None:
        """Writes what waits in the encoders and closes the file; after a failure only the latter."""
        try:
            if kind is None:
                if not self._frames:
                    raise ValueError(f"{self.path}: no frames were written")
                self._container.mux(self._picture.encode(None))
                if self._sound is not None:
                    self._container.mux(self._sound.encode(None))
                self._container.close()
        finally:
            # Closing writes the trailer, which fails where writing did.
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.close()


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float,
    waveform: np.ndarray | None = None,
    audio_rate: int | None = None,
) -> None:
    """Writes frames and sound in memory to a file.

    Args:
      path: the file, see `VideoWriter`.
      frames: uint8 [T, H, W, 3], T at least 1.
      fps: frames per second.
      waveform: float [S], mono, or None.
      audio_rate: its samples per second.

    Raises:
      ValueError, OSError: as `VideoWriter`; also for a waveform without a rate.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4:
        raise ValueError(f"frames: must be [T, H, W, 3], not {list(frames.shape)}")
    if waveform is not None and not audio_rate:
        raise ValueError("audio_rate: is needed with a waveform")
    rate = audio_rate if waveform is not None else None
    with VideoWriter(path, fps=fps, size=frames.shape[1:3], audio_rate=rate) as writer:
        # A second of each in turn keeps them together in the file.
        step = max(1, round(fps))
        for first in range(0, len(frames), step):
            writer.write(frames[first : first + step])
            if rate:
                begin, end = (round(t * rate / fps) for t in (first, first + step))
                writer.write_audio(waveform[begin:end])
        if rate:
            writer.write_audio(waveform[round((first + step) * rate / fps) :])
