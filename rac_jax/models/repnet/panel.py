"""A panel for counters that compare frames: how like each frame is to those before and after it.

A self-similarity matrix of a whole video would be as large as the video is long, squared. Drawn
against the lag instead, a steady repetition is a row of stripes at its period.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops.similarity import lag_shear

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rac_jax.counting.result import CountResult

LAGS = 32  # strided frames
INK, EDGES = "#222222", "#D55E00"  # Okabe and Ito's vermillion


def lag_rows(matrices: jax.Array) -> jax.Array:
    """Matrices [B, N, N] as [B, N, LAGS]: how like frame n is to frame n + 1, n + 2, ..."""
    frames = matrices.shape[-1]
    found, _ = lag_shear(matrices, 1, min(LAGS, frames - 1))
    return jnp.pad(found, ((0, 0), (0, 0), (0, max(0, LAGS - frames + 1))))


class LagPanel:
    """Draws what one stride saw of a video.

    Args:
      rows: [n, LAGS], see `lag_rows`.
      stride: in frames.
      times_s: [T] when each frame of the video begins.
    """

    def __init__(self, rows: np.ndarray, stride: int, times_s: np.ndarray):
        self._rows, self._stride = np.asarray(rows, np.float32), stride
        self._times_s = times_s[::stride][: len(rows)]

    def __call__(self, axes: "Axes", result: "CountResult") -> None:
        """Draws it, cycles marked, into axes that may be small."""
        times = self._times_s
        step = (times[-1] - times[0]) / max(1, len(times) - 1)
        low, high = np.quantile(self._rows, [0.05, 0.98])
        axes.imshow(
            self._rows.T,
            aspect="auto",
            origin="lower",
            cmap="Greys",
            vmin=low,
            vmax=max(high, low + 1e-6),
            extent=(times[0], times[-1] + step, step / 2, (LAGS + 0.5) * step),
        )
        for one in result.sets or ():
            for edge in (one.start_s, *(end for _, end in one.cycles)):
                axes.axvline(edge, color=EDGES, linewidth=0.6, alpha=0.7)
        axes.set_title(
            f"likeness of each moment to what follows (stride {self._stride})",
            fontsize=9,
            color=INK,
            loc="left",
        )
        axes.set_xlabel("time (s)", fontsize=8, color=INK)
        axes.set_ylabel("seconds later", fontsize=8, color=INK)
        axes.tick_params(labelsize=8, colors=INK)
