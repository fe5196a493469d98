"""Cue lists of marked instants in forms that editors read: CSV, CMX 3600 EDL, SRT, MIDI.

Times are seconds of the video from its first frame. An EDL counts frames: a time code is the number
of the frame at the video's own rate, written with the whole rate next to it, without dropped numbers.
"""

import csv
import dataclasses
import io
import pathlib
import struct
from collections.abc import Sequence

from rac_jax.counting.instants import instants
from rac_jax.counting.result import CountResult

# A CMX 3600 list numbers its events with three digits.
EDL_EVENTS = 999
# What a list calls its own first hour.
EDL_START_H = 1
SRT_S = 0.2  # of a subtitle, where the next cue is not sooner
# MIDI: ticks of a quarter note, of which there are two a second; a snare on the drums' channel.
TICKS, QUARTER_US = 480, 500_000
CHANNEL, NOTE, NOTE_S = 9, 38, 0.03


@dataclasses.dataclass(frozen=True)
class Cue:
    """An instant.

    Attributes:
      time_s: in seconds of the video.
      strength: how sure or strong, in [0, 1]; 1 from a model that does not say.
      place: where in the picture, (right, down) in [0, 1], or None.
    """

    time_s: float
    strength: float = 1.0
    place: tuple[float, float] | None = None


def cues_of(result: CountResult, kind: str = "events") -> list[Cue] | None:
    """The cues of a result; None from a model that gives none of this kind.

    Strengths and places are the result's details of these names, where there is one each.

    Raises:
      ValueError: for an unknown kind, see `instants`.
    """
    times = instants(result, kind)
    if times is None:
        return None
    strengths = [1.0] * len(times)
    places: list[tuple[float, float] | None] = [None] * len(times)
    if kind == "events":
        said = result.details.get("strengths")
        if said is not None and len(said) == len(times):
            strengths = [min(1.0, max(0.0, float(one))) for one in said]
        said = result.details.get("places")
        if said is not None and len(said) == len(times):
            places = [(float(x), float(y)) for x, y in said]
    return [Cue(*one) for one in zip(times, strengths, places, strict=True)]


def to_csv(cues: Sequence[Cue]) -> str:
    """A table `time_s,strength,right,down`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("time_s", "strength", "right", "down"))
    for cue in cues:
        place = ("", "") if cue.place is None else [f"{v:.4f}" for v in cue.place]
        writer.writerow((f"{cue.time_s:.4f}", f"{cue.strength:.4f}", *place))
    return table.getvalue()


def time_code(frame: int, base: int) -> str:
    """The code of a frame, HH:MM:SS:FF, with `base` frames to a second."""
    seconds, rest = divmod(frame, base)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}:{rest:02d}"


def to_edl(cues: Sequence[Cue], fps: float, name: str) -> str:
    """A CMX 3600 list with an event of one frame, and a locator, for each cue.

    Args:
      cues: at most `EDL_EVENTS`.
      fps: frames per second of the video, above 0.
      name: of the video.

    Raises:
      ValueError: for more cues than such a list has numbers, or no rate.
    """
    if len(cues) > EDL_EVENTS:
        raise ValueError(
            f"{len(cues)} events, a CMX 3600 list has room for {EDL_EVENTS}"
        )
    if not fps > 0:
        raise ValueError(f"{fps} frames per second give no time code")
    base = max(1, round(fps))
    first = EDL_START_H * 3600 * base
    title = " ".join(name.split())
    lines = [f"TITLE: {title}", "FCM: NON-DROP FRAME", ""]
    for number, cue in enumerate(cues, start=1):
        frame = round(cue.time_s * fps)
        source = f"{time_code(frame, base)} {time_code(frame + 1, base)}"
        start = time_code(first + frame, base)
        record = f"{start} {time_code(first + frame + 1, base)}"
        lines.append(f"{number:03d}  AX       V     C        {source} {record}")
        lines.append(f"* FROM CLIP NAME: {title}")
        lines.append(f"* LOC: {start} RED     HIT {number} {cue.strength:.2f}")
    return "\n".join(lines) + "\n"


def _srt_time(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d},{thousandths:03d}"


def to_srt(cues: Sequence[Cue]) -> str:
    """Subtitles: the number and strength of each cue, until the next one at most."""
    parts = []
    for place, cue in enumerate(cues):
        end_s = cue.time_s + SRT_S
        if place + 1 < len(cues):
            end_s = min(end_s, cues[place + 1].time_s)
        span = f"{_srt_time(cue.time_s)} --> {_srt_time(end_s)}"
        parts.append(f"{place + 1}\n{span}\n{place + 1} ({cue.strength:.2f})\n")
    return "\n".join(parts)


def _varying(value: int) -> bytes:
    """A number as MIDI has it: seven bits a byte, all but the last one marked."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))


def to_midi(cues: Sequence[Cue]) -> bytes:
    """A standard MIDI file of one track: a drum for each cue, its velocity by strength."""
    per_s = TICKS * 1_000_000 / QUARTER_US
    moments = []
    for cue in cues:
        start = round(cue.time_s * per_s)
        velocity = 1 + round(126 * cue.strength)
        moments.append((start, 1, bytes((0x90 | CHANNEL, NOTE, velocity))))
        end = start + max(1, round(NOTE_S * per_s))
        moments.append((end, 0, bytes((0x80 | CHANNEL, NOTE, 0))))
    track = b"\x00\xff\x51\x03" + QUARTER_US.to_bytes(3, "big")
    now = 0
    # A note that ends where another begins ends first.
    for tick, _, message in sorted(moments):
        track += _varying(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


def clip_name(path: str) -> str:
    """What lists call a video: its file's name."""
    return pathlib.PurePath(path).name
