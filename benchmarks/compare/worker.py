"""One side of a comparison in its own process: `python -m benchmarks.compare.worker`.

Reads one JSON object per line from stdin and answers each with one on stdout:
{"do": "build", ...} first, then {"do": "time", "steps": n} any number of times, {"do": "peak"}.
"""

import contextlib
import ctypes
import importlib
import json
import os
import pathlib
import sys
import time

from benchmarks.memory import resident_mb
from rac_jax.train.host_memory import keep_freed_memory, keep_in_libc

CLEAR = pathlib.Path("/proc/self/clear_refs")


def begin_peak() -> None:
    """From here on peaks of this process's memory count anew."""
    # Gives back what compiling has left, where the C library is glibc.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    if CLEAR.exists():
        CLEAR.write_text("5")


class Worker:
    """Answers requests, a method for each kind."""

    def build(self, side: str, case: dict, folder: str, ways: list[str]) -> dict:
        """Builds a side, leaves its outputs in the folder."""
        from benchmarks.compare.cases import Case

        folder, case = pathlib.Path(folder), Case(**case)
        if case.mode == "train" and case.device == "cpu":
            # As `rac train` does; PyTorch gains as much by it.
            keep = keep_freed_memory if side == "ours" else keep_in_libc
            keep()
        module = importlib.import_module(f"benchmarks.compare.{side}")
        self._before = resident_mb("VmRSS")
        if side == "ours":
            self.side = module.Side(case, folder)
        else:
            self.side = module.Side(case, tuple(ways), folder)
        import numpy as np

        np.savez(folder / f"{side}.npz", **self.side.outputs())
        begin_peak()
        side = self.side
        return {
            "way": side.way,
            "way_ms": side.way_ms,
            "compile_s": side.compile_s,
            "version": side.version,
            "flops": side.flops,
            "bytes": side.bytes,
        }

    def time(self, steps: int) -> dict:
        """Runs steps, each waited for."""
        spent = []
        for _ in range(steps):
            began = time.perf_counter()
            self.side.step()
            spent.append(1e3 * (time.perf_counter() - began))
        return {"ms": spent}

    def peak(self) -> dict:
        """Peak memory since `build`, without what the libraries themselves take."""
        found = self.side.peak_mb()
        if found is None:
            most = resident_mb("VmHWM")
            found = None if most is None else most - self._before
        return {"mb": found}

    def measure(self, dtype: str) -> dict:
        """See `machine.measure`."""
        from benchmarks.compare import machine

        return machine.measure(dtype)

    def profile(self, steps: int) -> dict:
        """See `profile.share_by_kind`."""
        from benchmarks.compare import profile

        return profile.share_by_kind(self.side, steps)


def serve(worker: object) -> None:
    """Answers requests by a worker's methods, until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(Worker())
