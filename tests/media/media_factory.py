"""Makes the media that the tests of this folder read, with all the oddities of real files."""

import os
import pathlib
from fractions import Fraction

import av
import numpy as np

BITS = 8
GOP = 12


def coded_frames(
    count: int, height: int = 48, width: int = 64, noise: int = 0
) -> np.ndarray:
    """Frames uint8 [count, height, width, 3] that carry their number as black and white bars.

    `noise` is the amplitude of grain, which spreads the file's bytes over all frames.
    """
    numbers = np.arange(count)
    bars = (numbers[:, None] >> np.arange(BITS)) & 1  # [count, BITS]
    columns = np.arange(width) * BITS // width
    frames = np.where(bars[:, columns], 205, 50)[
        :, None, :, None
    ]  # [count, 1, width, 1]
    grain = np.random.default_rng(0).integers(
        -noise, noise + 1, (count, height, width, 3)
    )
    return (frames + grain).astype(np.uint8)  # [count, height, width, 3]


def read_codes(frames: np.ndarray) -> list[int]:
    """The numbers that `coded_frames` carry, after any compression and resizing."""
    width = frames.shape[2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bars = frames[:, frames.shape[1] // 2, centres].mean(axis=-1) > 128  # [n, BITS]
    return [int(n) for n in bars @ (1 << np.arange(BITS))]


def smooth_picture(height: int, width: int) -> np.ndarray:
    """A picture uint8 [height, width, 3] without symmetry, whose colours survive compression."""
    y, x = np.mgrid[:height, :width]
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    colours = [40 + 150 * x, 30 + 180 * y, 120 + 60 * np.sin(3 * x + y)]
    return np.stack(colours, axis=-1).round().astype(np.uint8)  # [height, width, 3]


def make_video(
    path: pathlib.Path,
    frames: np.ndarray,
    *,
    pts=None,
    time_base: Fraction = Fraction(1, 25),
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict | None = None,
    container_options: dict | None = None,
    rotation: tuple | None = None,
    full_range: bool = False,
    sound: np.ndarray | None = None,
    sound_rate: int = 16000,
    sound_codec: str = "aac",
    sound_delay_s: float = 0.0,
    file_format: str | None = None,
) -> pathlib.Path:
    """Writes frames [n, H, W, 3] with any timestamps, and mono sound [S] if there is one."""
    quality = {"crf": "10", "g": str(GOP)} if codec == "libx264" else {}
    with av.open(
        str(path), "w", format=file_format, options=container_options or {}
    ) as out:
        stream = out.add_stream(codec, rate=rate, options=quality | (options or {}))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        stream.codec_context.color_range = 2 if full_range else 1
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        if sound is not None:
            heard = out.add_stream(sound_codec, rate=sound_rate, layout="mono")
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format=pix_fmt,
                dst_color_range=2 if full_range else 1,
                interpolation="AREA",
            )
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            for first in range(0, len(sound), sound_rate):
                samples = np.float32(sound[None, first : first + sound_rate])
                frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
                frame.sample_rate = sound_rate
                frame.time_base = Fraction(1, sound_rate)
                frame.pts = first + round(sound_delay_s * sound_rate)
                out.mux(heard.encode(frame))
            out.mux(heard.encode(None))
    return path


def make_wav(
    path: pathlib.Path, samples: np.ndarray, rate: int, sample_format: str = "s16"
) -> pathlib.Path:
    """Writes sound [S] or [channels, S] in -1..1, uncompressed."""
    codec = {"s16": "pcm_s16le", "flt": "pcm_f32le", "u8": "pcm_u8", "s32": "pcm_s32le"}
    return make_sound(path, samples, rate, codec[sample_format], sample_format)


def make_sound(
    path: pathlib.Path, samples: np.ndarray, rate: int, codec: str, sample_format: str
) -> pathlib.Path:
    """Writes sound [S] or [channels, S] in -1..1 with any codec."""
    values = np.atleast_2d(samples)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(values)]
    if not sample_format.endswith("p"):
        values = values.T.reshape(1, -1)  # [1, S channels]
    scale, kind = {
        "s16": (2.0**15, np.int16),
        "s32": (2.0**31, np.int32),
        "u8": (2.0**7, np.uint8),
        "flt": (1.0, np.float32),
    }[sample_format.removesuffix("p")]
    values = values * scale
    if scale > 1:
        values = np.clip(np.round(values), -scale, scale - 1) + scale * (
            kind is np.uint8
        )
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(values.astype(kind), sample_format, layout)
        frame.sample_rate = rate
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def copy_packets(source: pathlib.Path, target: pathlib.Path, change) -> pathlib.Path:
    """Copies a file without decoding; `change(packet)` may alter a packet or return False."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if not packet.size or change(packet) is False:
                continue
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def real_clips() -> pathlib.Path:
    """The folder of real clips: RAC_REAL_CLIPS, or beside the repository."""
    default = pathlib.Path(__file__).parents[3] / "shared" / "real_clips"
    return pathlib.Path(os.environ.get("RAC_REAL_CLIPS", default))
