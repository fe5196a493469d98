"""What can be had of a long video for little: its sound track, and its keyframes.

Decoding dominates the cost of counting, so other frames are not decoded at all.
"""

import concurrent.futures
import contextvars
import dataclasses
import math
import os

import numpy as np

from rac_jax import media
from rac_jax.counting.skim import listener, rhythm
from rac_jax.media.pixels import to_grey

SIZE = (32, 32)  # pixels of keyframes
CUT = 35.0  # grey levels by which frames of two scenes differ; no motion
LONGEST_GAP_S = 12.0  # keyframes further apart say nothing of what lies between
SILENT = 1e-8  # mean power of what nobody hears


@dataclasses.dataclass(frozen=True)
class Preview:
    """What is known of each second of a video before it is looked at.

    Attributes:
      start_s: where the first second begins, in seconds of the file.
      end_s: where the part to count ends.
      heard_odds: float32 [N] log odds that the sound goes with a repetition, of `listener`; NaN
        where nothing is heard.
      rhythm: float32 [N] the highest peak of the onsets' autocorrelation, in [0, 1]; NaN where
        nothing is heard.
      loudness: float32 [N] mean power of the sound; NaN where nothing is heard.
      motion: float32 [N] grey levels by which the keyframes around differ; NaN where there are
        none, or where they belong to two scenes.
      keyframes: how many were decoded.
      info: what the file says of itself.
      faults: what could not be read, "<path>: <reason>" each.
    """

    start_s: float
    end_s: float
    heard_odds: np.ndarray
    rhythm: np.ndarray
    loudness: np.ndarray
    motion: np.ndarray
    keyframes: int
    info: media.MediaInfo | None = None
    faults: tuple[str, ...] = ()

    @property
    def seconds(self) -> int:
        """N."""
        return len(self.rhythm)

    @property
    def heard(self) -> bool:
        """Whether there is any sound."""
        return bool(np.isfinite(self.heard_odds).any())

    @property
    def seen(self) -> float:
        """The share of the seconds of whose motion keyframes tell something."""
        return float(np.isfinite(self.motion).mean()) if self.seconds else 0.0


def preview(
    path: str | os.PathLike, *, start_s: float = 0.0, end_s: float | None = None
) -> Preview:
    """Hears a whole file and looks at its keyframes.

    Args:
      path: a media file.
      start_s: where to begin, in seconds of the file.
      end_s: where to end, None for its end.

    Returns:
      The preview. A stream that cannot be read is one of its faults and counts as none.

    Raises:
      MediaError: if the file cannot be read, or has nothing in that part.
    """
    with media.collect_faults() as faults:
        made = _preview(path, start_s, end_s)
    return dataclasses.replace(made, faults=tuple(faults))


def _preview(path: str | os.PathLike, start_s: float, end_s: float | None) -> Preview:
    info = media.probe(path)
    sound = os.fspath(path) if info.has_audio else media.sibling_sound(path)

    def listen() -> np.ndarray:
        if sound is None:
            return rhythm.listen(())
        origin_s = info.start_s if info.has_audio else None
        blocks = media.stream_audio(
            sound,
            rate=rhythm.RATE,
            start_s=start_s,
            end_s=end_s,
            origin_s=origin_s,
            rough=True,
        )
        return rhythm.listen(blocks)

    def look() -> tuple[np.ndarray, np.ndarray]:
        if not info.has_video:
            return np.zeros(0), np.zeros((0, *SIZE), np.uint8)
        chunks = list(
            media.stream_frames(
                path, size=SIZE, start_s=start_s, end_s=end_s, keyframes=True
            )
        )
        times = np.concatenate([np.zeros(0), *(one.times_s for one in chunks)])
        greys = [np.zeros((0, *SIZE), np.uint8), *(to_grey(c.frames) for c in chunks)]
        return times, np.concatenate(greys)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        # In contexts of their own, which collect faults where this one does.
        jobs = [
            pool.submit(contextvars.copy_context().run, job) for job in (listen, look)
        ]
        found = []
        for job in jobs:
            try:
                found.append(job.result())
            except media.MediaError as error:
                media.pass_on_fault(str(error))
                found.append(None)
    powers = rhythm.listen(()) if found[0] is None else found[0]  # [n, F]
    times, greys = found[1] or (np.zeros(0), np.zeros((0, *SIZE)))
    ends = [start_s + len(powers) * rhythm.HOP / rhythm.RATE, *times[-1:]]
    length_s = info.duration_s or max(ends)
    until = length_s if end_s is None else min(end_s, length_s)
    if until <= start_s:
        raise media.MediaError(f"{path}: has nothing in the part to count")
    seconds = math.ceil(until - start_s)
    power = rhythm.per_second(powers[:, -1], seconds)
    nothing = np.float32(np.nan)
    silent = ~(power > SILENT)
    if silent.all():
        odds = peaks = np.full(seconds, nothing)
    else:
        heard = listener.features(powers, seconds)
        odds = listener.log_odds(listener.shipped(), heard).astype(np.float32)
        peaks = rhythm.rhythm(rhythm.onset_envelope(powers), seconds)
    return Preview(
        start_s=start_s,
        end_s=until,
        heard_odds=np.where(silent, nothing, odds),
        rhythm=np.where(silent, nothing, peaks),
        loudness=np.where(silent, nothing, power),
        motion=_motion(times - start_s, greys, seconds),
        keyframes=len(times),
        info=info,
    )


def _motion(times: np.ndarray, greys: np.ndarray, seconds: int) -> np.ndarray:
    """By how many grey levels the keyframes before and after each second differ, float32 [N]."""
    motion = np.full(seconds, np.nan, np.float32)
    if len(times) < 2:
        return motion
    differences = np.abs(np.diff(greys.astype(np.float32), axis=0)).mean((1, 2))
    usable = (differences < CUT) & (np.diff(times) < LONGEST_GAP_S)
    before = np.searchsorted(times, np.arange(seconds) + 0.5, side="right") - 1
    inside = (before >= 0) & (before < len(differences))
    known = inside.copy()
    known[inside] = usable[before[inside]]
    motion[known] = differences[before[known]]
    return motion
