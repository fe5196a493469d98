"""The compact counter's reading of a stream that goes on: what it would say if this were the end.

A reading is the decision on the last minute or so, with windows aligned to the last frame as they
are at the end of a file. So it depends on the frames so far alone. What makes it cheap: only the
last steps are decoded; and windows of large strides, which change slowly, end at every fourth
strided frame, so that most of them were looked at by the reading before.
"""

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from rac_jax.counting.frame_windows import Window
from rac_jax.counting.window_runs import Network, last_rows
from rac_jax.models.compact.grid import (
    STEP_FRAMES,
    STRIDES,
    WINDOW_FRAMES,
    step_count,
)
from rac_jax.models.compact.posteriors import (
    Steps,
    StreamPosteriors,
    long_enough,
    stack_posteriors,
)

if TYPE_CHECKING:
    from rac_jax.models.compact.decision import CompactNetworks
    from rac_jax.models.compact.decoder import PeriodSet
    from rac_jax.models.compact.estimator import CompactState

RECENT_STEPS = 256  # that are decoded: 41 s at 25 frames per second
# Their strided frames by stride, and one at the beginning and at the end that is not whole.
RECENT_ROWS = {stride: RECENT_STEPS * STEP_FRAMES // stride + 2 for stride in STRIDES}
# Of the steps, the first ones lack what a decoder sees of the past, and are not told.
MARGIN_STEPS = 32
BLOCK_PADDING = 64  # steps of which `CompactNetworks.decode` makes its blocks
# What is told live, chosen on scenes by `benchmarks/live_delay.py` (docs/live.md): what moves
# without repeating comes back now and then, and what was said cannot be taken back. A set is told
# from so many repetitions on, if its periods are so probable on average; from `SURE_COUNT` on if
# they are `SURE_SCORE` probable.
LEAST_COUNT = 2.0
LEAST_SCORE = 0.7
SURE_COUNT = 5.0
SURE_SCORE = 0.55
# A hand that holds a camera trembles, at 3.9 to 5.1 times a second in scenes where nothing
# repeats. Sets that are quicker than this are left to the result at the end.
MOST_PER_S = 3.5
# By stride: strided frames from one last window to the next.
EVERY = {3: 2, 4: 4, 6: 4, 8: 4, 12: 4}

# Windows known by stride, start, how many frames are real and when they begin.
Key = tuple[int, int, int, bytes]
Looked = dict[Key, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Recent:
    """The last steps of a stream.

    Attributes:
      streams: what is seen of it; `times_s`, `end_s` and `changes` of the last frames only.
      posteriors: of its steps.
      frames: how many frames these are.
      margin: of these, how many are before what is told.
      since_s: from when on it is told.
    """

    streams: StreamPosteriors
    posteriors: Steps
    frames: int
    margin: int
    since_s: float

    def cuts(self, one: "PeriodSet") -> bool:
        """Whether a set may have begun before; nothing has at the start of a stream."""
        return 0 < self.margin and one.first <= self.margin


def look(state: "CompactState", network: Network) -> Recent | None:
    """Looks at the end of a stream.

    Args:
      state: of a stream with a picture and without sound. Only what it has looked at is changed.
      network: of the sight stream.

    Returns:
      Its last steps; None before the first frame.
    """
    # Frames of which it is open whether the container repeats them, as at an end.
    repeated, assembler = state.repeated.copy(), state.assembler.copy()
    times_s, changed = state.times_s, state.changed
    held, windows = repeated.finish(), []
    if held is not None and len(held[1]):
        windows = assembler.feed(*held)
        times_s = (*times_s, held[1])
        changed = (*changed, state.changes.copy().feed(held[0]))
    if not times_s:
        return None
    windows += assembler.finish(EVERY)

    # Windows that are not over are run apart, those of the reading before are known.
    looked: Looked = {}
    known = []
    for window in windows:
        key = _key(window)
        values = state.looked.get(key)
        if values is None:
            values = np.asarray(network(window.frames[None]))[0]  # [64, 29]
        looked[key] = values
        known.append((key[:3], values))
    state.looked = looked
    total = assembler.frames
    first = max(0, step_count(total) - RECENT_STEPS)
    ends = state.sight.joined(known, RECENT_ROWS)
    rows = long_enough({stride: last for stride, (_, last) in ends.items()})
    begins = {stride: number - len(last) for stride, (number, last) in ends.items()}

    begin = first * STEP_FRAMES
    recent_s = last_rows(times_s, total - begin)
    margin = MARGIN_STEPS * STEP_FRAMES if first else 0
    streams = StreamPosteriors(
        sight=rows,
        sound=None,
        changes=last_rows(changed, total - begin),
        times_s=recent_s,
        end_s=assembler.end_s,
        cost={},
    )
    return Recent(
        streams,
        functools.partial(_shifted, rows, begins, first),
        total - begin,
        margin,
        float(recent_s[margin]) if first else state.info.start_s,
    )


def is_told(one: "PeriodSet", per_s: float, cut: bool) -> bool:
    """Whether a set is told live.

    Args:
      one: that is found.
      per_s: its repetitions per second, on average.
      cut: whether it begins before what is looked at, and so may be longer.
    """
    if per_s > MOST_PER_S:
        return False
    sure = one.count >= LEAST_COUNT and one.score >= LEAST_SCORE
    many = one.count >= SURE_COUNT and one.score >= SURE_SCORE
    return cut or sure or many


def prepare(networks: "CompactNetworks", size: int) -> None:
    """Compiles what readings of any length need, for frames of `size` pixels a side."""
    networks.sight(np.zeros((1, WINDOW_FRAMES, size, size), np.uint8))
    for number in range(BLOCK_PADDING, RECENT_STEPS + 1, BLOCK_PADDING):
        networks.decode(number, functools.partial(_shifted, {}, {}, 0), None)


def _shifted(
    rows: dict[int, np.ndarray],
    begins: dict[int, int],
    offset: int,
    first: int,
    number: int,
) -> np.ndarray:
    """`stack_posteriors` with steps that begin at `offset`."""
    return stack_posteriors(rows, offset + first, number, begins)


def _key(window: Window) -> Key:
    """What tells a window from the others of its stream."""
    times = window.times_s[: window.valid].tobytes()
    return window.stride, window.start, window.valid, times
