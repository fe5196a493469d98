"""One side in its own process: `python -m benchmarks.events_run.worker`, see `compare.worker`."""

import importlib
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compare.worker import begin_peak, serve
from benchmarks.cpu_time import cpu_seconds, own_processes
from benchmarks.events_run.sizes import Sizes
from benchmarks.memory import resident_mb


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """(What a call gives, {"wall_s", "cpu_s"} that it took)."""
    began, used = time.perf_counter(), cpu_seconds()
    found = call()
    spent = time.perf_counter() - began, cpu_seconds() - used
    return found, {"wall_s": spent[0], "cpu_s": spent[1]}


class Worker:
    """Answers requests, a method for each kind."""

    def build(
        self, side: str, video: str, folder: str, ways: list[str], sizes: dict
    ) -> dict:
        """Builds a side, and leaves the probabilities of its first run in the folder."""
        module = importlib.import_module(f"benchmarks.events_run.{side}")
        found = pathlib.Path(folder)
        self.side = module.Side(video, found, tuple(ways), Sizes(**sizes))
        probabilities, spent = timed(self.side.probabilities)
        np.save(found / f"{side}.npy", probabilities)
        begin_peak()
        told = {name: getattr(self.side, name) for name in ("version", "way", "way_s")}
        return told | {"first_s": spent["wall_s"]}

    def mark(self) -> dict:
        """A whole run."""
        events, spent = timed(self.side.mark)
        return spent | {"events": events}

    def peak(self) -> dict:
        """Peak memory in MB: of this process since its first run, and of those it has started."""
        peaks = [resident_mb("VmHWM", process) for process in own_processes()]
        return {"mb": sum(mb for mb in peaks if mb is not None)}

    def hold_windows(self) -> dict:
        """Makes ready for `flow`, whose first run is not timed."""
        windows = self.side.hold_windows()
        self.side.flow()
        return {"windows": windows}

    def flow(self) -> dict:
        """The flow of all windows."""
        return timed(self.side.flow)[1]


if __name__ == "__main__":
    serve(Worker())
