"""A copy of a video that flashes where and when something should be heard."""

import os
from collections.abc import Sequence

import numpy as np

from rac_jax.counting.result import CountResult
from rac_jax.view.annotate import COLOUR, Draw, drawn_copy
from rac_jax.view.cues import Cue

FLASH_S = 0.3  # a mark fades over so long
# Of the picture's shorter side: a ring's radius at first and at the end, and how thick marks are.
RADII, THICK = (0.05, 0.11), 0.012


def overlay_events(
    result: CountResult,
    cues: Sequence[Cue],
    path: str | os.PathLike,
    *,
    progress: bool = False,
) -> None:
    """Writes the counted part of the video with a mark at every cue.

    A ring around the cue's place that grows and fades for 0.3 s, the clearer the stronger the cue;
    the picture's border where no place is known. Size, rate and sound are as in `annotate_video`.

    Args:
      result: what was counted; its file must still be there.
      cues: of the result, in the order of time.
      path: the video to write.
      progress: show a progress bar on long videos.

    Raises:
      MediaError, ValueError: as `annotate_video`.
    """

    def make(size: tuple[int, int], ends_s: np.ndarray) -> Draw:
        del size
        times_s = np.asarray([cue.time_s for cue in cues])

        def draw(frame: np.ndarray, number: int) -> None:
            # A cue that falls into the time in which a frame is shown is on that frame.
            end_s = ends_s[number]
            first = np.searchsorted(times_s, end_s - FLASH_S, side="right")
            last = np.searchsorted(times_s, end_s)
            for cue in cues[first:last]:
                draw_mark(frame, cue, (end_s - cue.time_s) / FLASH_S)

        return draw

    drawn_copy(result, path, make, progress=progress)


def draw_mark(frame: np.ndarray, cue: Cue, age: float) -> None:
    """Draws a cue's mark into a frame.

    Args:
      frame: uint8 [H, W, 3], changed in place.
      cue: the cue.
      age: share of its time that is over, in [0, 1].
    """
    height, width = frame.shape[:2]
    short = min(height, width)
    clear = cue.strength * (1 - age)
    thick = max(1.0, THICK * short)
    if cue.place is None:
        border = round(thick)
        inside = np.zeros((height, width), bool)
        inside[border:-border, border:-border] = True
        cover, top, left = np.where(inside, 0.0, clear), 0, 0
    else:
        radius = short * (RADII[0] + age * (RADII[1] - RADII[0]))
        x, y = cue.place[0] * width, cue.place[1] * height
        reach = radius + thick
        # Only the part of the picture that the ring is in.
        top, left = max(0, int(y - reach)), max(0, int(x - reach))
        rows = np.arange(top, min(height, int(y + reach) + 1))[:, None] + 0.5
        columns = np.arange(left, min(width, int(x + reach) + 1))[None] + 0.5
        apart = np.abs(np.hypot(columns - x, rows - y) - radius)
        cover = clear * np.clip(0.5 + thick / 2 - apart, 0, 1)
    area = frame[top : top + cover.shape[0], left : left + cover.shape[1]]
    mixed = area + cover[..., None] * (np.array(COLOUR) - area.astype(float))
    area[:] = np.rint(mixed).astype(np.uint8)
