"""What tests compare the streaming code with: index arithmetic on whole videos."""

from rac_jax.models.compact.grid import WINDOW_FRAMES
from rac_jax.models.compact.windows import HOP_FRAMES


def window_starts(frames: int) -> list[int]:
    """Where the windows of a stride start.

    Args:
      frames: strided frames, at least 1.

    Returns:
      Strided frames, rising: every 40th, and the one from which a window ends at the end.
    """
    last = max(0, frames - WINDOW_FRAMES)
    starts = list(range(0, last + 1, HOP_FRAMES))
    return starts if starts[-1] == last else [*starts, last]
