"""The command; see the package."""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np

from tests.fuzz.kinds import KINDS, Kind

LONGEST_S = 60.0
MEMORY = 2 << 30  # bytes of this process and of each decoder


def limit_memory() -> None:
    """Limits the address space beyond what is mapped already, where the system can."""
    try:
        import resource
    except ImportError:
        return
    mapped = pathlib.Path("/proc/self/statm")
    now = int(mapped.read_text().split()[0]) * 4096 if mapped.exists() else 0
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))


def run(kind: Kind, seed: int, first: int, cases: int) -> list[str]:
    """Runs cases; returns what was found, a line each."""
    found = []
    for number in range(first, first + cases):
        path = kind.case(np.random.default_rng([seed, number]))
        began = time.monotonic()
        try:
            kind.read(path)
        except kind.allowed as error:
            text = str(error)
            if "\n" in text or path.name not in text:
                found.append(f"{number}: says {text!r:.200}")
        except Exception as error:  # noqa: BLE001, anything else is what is looked for
            found.append(f"{number}: {type(error).__name__}: {error!s:.200}")
        spent = time.monotonic() - began
        if spent > LONGEST_S:
            found.append(f"{number}: took {spent:.0f} s")
    return found


def main() -> int:
    """Runs the command; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--kind", choices=sorted(KINDS), required=True)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        kind = KINDS[args.kind](pathlib.Path(temporary))
        limit_memory()
        began = time.monotonic()
        found = run(kind, args.seed, args.first, args.cases)
    for line in found:
        print(line)
    spent = time.monotonic() - began
    print(f"{args.kind}: {args.cases} cases, {len(found)} found, {spent:.0f} s")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
