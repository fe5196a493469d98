"""Runs cases: both sides in turn, each in a process of its own, their outputs compared first."""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.compare.cases import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = 5  # timed steps of one side before it is the other's turn
# Largest difference of two outputs, over the largest of them. Of the losses of three steps the
# later ones drift apart: descent magnifies rounding.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
DRIFT = 5.0


class BenchError(Exception):
    """A case that could not be run, or whose sides disagree; one line."""


class Process:
    """One side.

    Args:
      side: "ours" or "reference".
      device: "cpu" or "gpu".
      module: whose program it is, see `worker`.
    """

    def __init__(
        self, side: str, device: str, module: str = "benchmarks.compare.worker"
    ):
        environment = dict(os.environ)
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the GPU is shared
        if side == "ours":
            environment["JAX_PLATFORMS"] = "cpu" if device == "cpu" else "cuda"
        path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        self.side = side
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, until `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or ["it said nothing"]
            raise BenchError(f"{self.side}: {lines[-1]}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@contextlib.contextmanager
def started(
    device: str, against: str | None, module: str = "benchmarks.compare.worker"
) -> Iterator[dict[str, Process]]:
    """The processes of both sides, "torch" only where asked for."""
    sides = ("reference", "ours") if against else ("ours",)
    found = {}
    try:
        for side in sides:  # PyTorch first: it draws the weights
            found[side] = Process(side, device, module)
        yield found
    finally:
        for process in found.values():
            process.close()


def difference(folder: pathlib.Path, dtype: str) -> float:
    """The largest absolute difference of two sides' outputs.

    Raises:
      BenchError: if one is too large for the type.
    """
    with (
        np.load(folder / "ours.npz") as ours,
        np.load(folder / "reference.npz") as theirs,
    ):
        most = 0.0
        for name in sorted(theirs):
            a, b = (np.asarray(x[name], np.float64) for x in (ours, theirs))
            apart = float(np.abs(a - b).max())
            scale = max(float(np.abs(b).max()), 1e-6)
            drift = DRIFT if name in ("loss1", "loss2") else 1.0
            if not apart <= drift * TOLERANCE[dtype] * scale:
                raise BenchError(
                    f"{name}: the two sides are {apart:.3g} apart, of {scale:.3g}"
                )
            most = max(most, apart)
        return most


def run_case(
    case: Case,
    against: str | None,
    *,
    steps: int,
    warmup: int,
    ways: tuple[str, ...],
    profiled: bool,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Measures a case.

    Args:
      case: what to run.
      against: "torch", or None for ours alone.
      steps: timed ones of each side.
      warmup: untimed ones at the start of every turn; memory that lay idle in the other's turn
        has to be had from the system again.
      ways: how PyTorch may run it; the fastest is compared.
      profiled: whether to trace where our step's time goes.
      report: told what goes on.

    Returns:
      The JSON record of `rac bench`.

    Raises:
      BenchError: if a side fails or the two disagree.
    """
    with (
        tempfile.TemporaryDirectory() as temporary,
        started(case.device, against) as sides,
    ):
        folder, built = pathlib.Path(temporary), {}
        # Both sides are built, each leaves its first outputs in the folder, and they must agree.
        for name, process in sides.items():
            report(f"{case.title}: building {name}")
            built[name] = process.ask(
                "build",
                side=name,
                case=dataclasses.asdict(case),
                folder=temporary,
                ways=ways,
            )
        apart = difference(folder, case.dtype) if against else None
        # Then they are timed by turns, so that the machine's moods meet both.
        times = {name: [] for name in sides}
        report(f"{case.title}: {steps} steps of each side")
        while len(times["ours"]) < steps:
            block = min(BLOCK, steps - len(times["ours"]))
            for name, process in sides.items():
                process.ask("time", steps=warmup)
                times[name] += process.ask("time", steps=block)["ms"]
        # What else goes into the row: memory, what the machine can do at best, and a trace.
        peaks = {name: process.ask("peak")["mb"] for name, process in sides.items()}
        best = sides["ours"].ask("measure", dtype=case.dtype)
        traced = profiled and case.mode != "count"
        profile = sides["ours"].ask("profile", steps=BLOCK) if traced else None
    return record(case, built, times, peaks, best, apart) | {"profile": profile}


def record(
    case: Case,
    built: dict[str, dict],
    times: dict[str, list[float]],
    peaks: dict[str, float | None],
    best: dict[str, float],
    apart: float | None,
) -> dict[str, Any]:
    """One row, see `rac bench --help`; a value is None where there is no such side."""
    ours, theirs = built["ours"], built.get("reference")
    row = dataclasses.asdict(case)
    row["ours_ms"] = statistics.median(times["ours"])
    row["ours_min_ms"], row["ours_max_ms"] = min(times["ours"]), max(times["ours"])
    row["steps"] = len(times["ours"])
    row["ours_compile_s"] = ours["compile_s"]
    row["ours_peak_mb"] = peaks["ours"]
    seconds = row["ours_ms"] / 1e3
    row["clips_per_s"] = case.batch / seconds if case.mode != "count" else None
    rate = (ours["flops"] or 0.0) / seconds
    row["flops_per_s"] = rate or None
    row["share_of_peak"] = rate / best["flops"] if rate else None
    row["peak_flops_per_s"] = best["flops"]
    moved = (ours["bytes"] or 0.0) / seconds
    row["share_of_bandwidth"] = moved / best["bytes"] if moved else None
    row["bandwidth_bytes_per_s"] = best["bytes"]
    row["torch_ms"] = row["torch_min_ms"] = row["torch_max_ms"] = None
    row["torch_peak_mb"] = row["torch_way"] = row["ratio"] = None
    row["torch_compile_s"] = row["torch_ways_ms"] = None
    row["max_abs_difference"] = apart
    row["versions"] = {"jax": ours["version"], "python": platform.python_version()}
    if theirs is not None:
        spent = times["reference"]
        row["torch_ms"] = statistics.median(spent)
        row["torch_min_ms"], row["torch_max_ms"] = min(spent), max(spent)
        row["ratio"] = row["torch_ms"] / row["ours_ms"]
        row["torch_peak_mb"] = peaks["reference"]
        row["torch_way"], row["torch_ways_ms"] = theirs["way"], theirs["way_ms"]
        row["torch_compile_s"] = theirs["compile_s"]
        row["versions"]["torch"] = theirs["version"]
    return row


def machine_line(rows: list[dict[str, Any]]) -> str:
    """The machine and the versions, for the head of a table."""
    versions = ", ".join(f"{k} {v}" for k, v in rows[0]["versions"].items())
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {versions}; "
        f"a large matrix product {rows[0]['peak_flops_per_s'] / 1e9:.0f} GFLOP/s, "
        f"memory {rows[0]['bandwidth_bytes_per_s'] / 1e9:.1f} GB/s"
    )


def profile_table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line per traced case: milliseconds of each kind of layer."""
    rows = [row for row in rows if row["profile"]]
    kinds = sorted({kind for row in rows for kind in row["profile"]})
    lines = [
        "| ms a step | " + " | ".join(kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for row in rows:
        spent = [f"{row['profile'].get(kind, 0):.0f}" for kind in kinds]
        lines.append("| " + " | ".join([title_of(row), *spent]) + " |")
    return "\n".join(lines)


def title_of(row: dict[str, Any]) -> str:
    """The case that a row is of."""
    return Case(**{f.name: row[f.name] for f in dataclasses.fields(Case)}).title


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line per case."""
    heads = (
        "case",
        "ours ms (min-max)",
        "PyTorch ms (min-max)",
        "ratio",
        "clips/s",
        "of peak",
        "of bandwidth",
        "MB ours / PyTorch",
        "compile s ours / PyTorch",
        "difference",
    )
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]

    def span(row, side):
        if row[f"{side}_ms"] is None:
            return ""
        low, high = row[f"{side}_min_ms"], row[f"{side}_max_ms"]
        way = f"{row['torch_way']}: " if side == "torch" else ""
        median, low, high = (
            f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"
            for ms in (row[f"{side}_ms"], low, high)
        )
        return f"{way}{median} ({low}-{high})"

    def shown(value, form):
        return "" if value is None else format(value, form)

    for row in rows:
        memory = [shown(row[f"{side}_peak_mb"], ".0f") for side in ("ours", "torch")]
        compiled = [
            shown(row[f"{side}_compile_s"], ".1f") for side in ("ours", "torch")
        ]
        cells = (
            title_of(row),
            span(row, "ours"),
            span(row, "torch"),
            shown(row["ratio"], ".2f"),
            shown(row["clips_per_s"], ".2f"),
            shown(row["share_of_peak"], ".0%"),
            shown(row["share_of_bandwidth"], ".0%"),
            " / ".join(memory),
            " / ".join(compiled),
            shown(row["max_abs_difference"], ".1e"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
