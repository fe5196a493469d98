"""Reads damaged files: `python -m tests.fuzz --kind media --cases 1000 --seed 0`.

A case is a function of seed and number; `--first N --cases 1` repeats one.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

from tests.fuzz.kinds import KINDS

CASE_S = 60.0
ROOT = pathlib.Path(__file__).parents[2]


def run(kind: str, seed: int, first: int, last: int) -> list[str]:
    """Runs cases of one kind in children; a child that dies or hangs is a finding.

    Args:
      kind: one of `KINDS`.
      seed: of all cases.
      first: number of the first case.
      last: one more than the number of the last case.

    Returns:
      One line per finding.
    """
    found = []
    while first < last:
        with tempfile.TemporaryDirectory() as folder:
            lines, ended = _child(kind, seed, first, last, folder)
        found += [f"{kind} {line[6:]}" for line in lines if line.startswith("found ")]
        if ended == 0:
            break
        cases = [int(line[5:]) for line in lines if line.startswith("case ")]
        if not cases:
            raise RuntimeError(f"{kind}: the child ended with {ended} before any case")
        how = f"took over {CASE_S:g} s or killed the reader (exit code {ended})"
        found.append(f"{kind} {cases[-1]} {how}")
        first = cases[-1] + 1
    return found


def _child(kind: str, seed: int, first: int, last: int, folder: str):
    command = [sys.executable, "-m", "tests.fuzz.child", kind]
    command += [*map(str, (seed, first, last)), folder]
    environment = os.environ | {"TMPDIR": folder}
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        # What is skipped in a damaged file is told there; it is not looked for here.
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as process:
        watch = threading.Timer(CASE_S, process.kill)
        watch.start()
        # Every line is a sign of life: the time starts anew.
        for line in process.stdout:
            watch.cancel()
            lines.append(line.rstrip("\n"))
            watch = threading.Timer(CASE_S, process.kill)
            watch.start()
        ended = process.wait()
        watch.cancel()
    return lines, ended


def main() -> int:
    """Prints findings and a summary; 1 if there were findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = run(args.kind, args.seed, args.first, args.first + args.cases)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{args.kind}: {args.cases} cases of seed {args.seed}, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
