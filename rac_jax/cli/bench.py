"""`rac bench`: how fast the networks run on this machine, beside PyTorch if asked."""

import argparse
import functools
import importlib.util
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rac_jax.cli.arguments import positive_number, whole_number
from rac_jax.cli.output import complain, write_text

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAYS = ("eager", "channels_last", "compile")


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the options of `rac bench`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description += (
        "\n\nEach side runs in a process of its own, with the same weights and inputs; what"
        "\ncomes out is compared before anything is timed, and they take turns, a few steps"
        "\neach. `ratio` is PyTorch's time over ours. Needs a clone of the project: the"
        "\nreference networks are in its folder benchmarks/."
    )
    suites = _suites()
    listed = "; ".join(f"{name}: {suite.what}" for name, suite in suites.items())
    narrow = ", ".join(name for name, suite in suites.items() if suite.narrow)
    parser.add_argument(
        "--suite",
        nargs="+",
        default=["sight"],
        choices=list(suites) or None,
        help=f"which networks: {listed or 'as in a clone'} (default: sight)",
    )
    parser.add_argument(
        "--mode",
        nargs="+",
        default=["forward"],
        choices=["forward", "train", "count"],
        help="inference, a training step, or the released procedure on a whole video "
        "(suite full) (default: forward)",
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument(
        "--batch",
        nargs="+",
        type=whole_number,
        default=[1],
        metavar="N",
        help="clips; several for a curve (default: 1)",
    )
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument(
        "--encoder",
        nargs="+",
        default=["s3d"],
        choices=["s3d", "r2plus1d18"],
        help="of suite sight (default: s3d)",
    )
    parser.add_argument(
        "--width",
        type=positive_number,
        default=0.25,
        help=f"channel multiplier of suites {narrow} (default: 0.25)",
    )
    parser.add_argument(
        "--frames",
        type=whole_number,
        metavar="T",
        help=f"per clip (default: {_defaults(suites, 'frames')})",
    )
    parser.add_argument(
        "--size",
        type=whole_number,
        metavar="PIXELS",
        help=f"of a clip's square frames (default: {_defaults(suites, 'size')})",
    )
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=8.0,
        help="of mode count's video (default: 8)",
    )
    parser.add_argument("--steps", type=whole_number, default=20, help="(default: 20)")
    parser.add_argument(
        "--warmup",
        type=functools.partial(whole_number, least=0),
        default=2,
        help="untimed steps at the start of every turn (default: 2)",
    )
    parser.add_argument("--against", choices=["torch"], help="compare with PyTorch")
    parser.add_argument(
        "--torch-ways",
        nargs="+",
        default=list(WAYS),
        choices=WAYS,
        help="how PyTorch may run a case; the fastest is compared (default: all)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="trace our step, too: milliseconds of each kind of layer",
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows as a list, too")


def run(args: argparse.Namespace) -> int:
    """Runs the command; 1 if a case failed."""
    suites = _suites()
    if not suites:
        complain("bench: benchmarks/ is not beside the package: use a clone")
        return 1
    if args.against and importlib.util.find_spec("torch") is None:
        complain("--against torch: PyTorch is missing; pip install -e '.[bench]'")
        return 1
    from benchmarks.compare import run as compare
    from benchmarks.compare.cases import Case

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rows, failed = [], 0
    for suite, mode, encoder, batch in _combinations(args):
        usual = suites[suite]
        try:
            case = Case(
                suite,
                mode,
                args.device,
                batch,
                args.dtype,
                encoder,
                args.frames or usual.frames,
                args.size or usual.size,
                seconds=args.seconds,
                width=args.width if usual.narrow else 1.0,
            )
            row = compare.run_case(
                case,
                args.against,
                steps=args.steps,
                warmup=args.warmup,
                ways=tuple(args.torch_ways),
                profiled=args.profile,
                report=told,
            )
        except (compare.BenchError, ValueError) as error:
            complain(f"bench {suite} {mode} {batch}: {error}")
            failed = 1
            continue
        rows.append(row)
        if args.json:  # after every case: a long run that ends early leaves what it has
            write_text(pathlib.Path(args.json), json.dumps(rows, indent=1))
    if rows:
        print(compare.machine_line(rows) + "\n\n" + compare.table(rows))
        if args.profile:
            print("\n" + compare.profile_table(rows))
    return failed


def _suites() -> Mapping[str, Any]:
    """`benchmarks.compare.suites.SUITES`; empty where that folder is not beside the package."""
    if not (ROOT / "benchmarks" / "compare").is_dir():
        return {}
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from benchmarks.compare.suites import SUITES

    return SUITES


def _defaults(suites: Mapping[str, Any], field: str) -> str:
    """What a field is unless told otherwise, by suite, the commonest value without names."""
    names = {}
    for name, suite in suites.items():
        names.setdefault(getattr(suite, field), []).append(name)
    values = sorted(names, key=lambda value: -len(names[value]))
    others = [f"of {', '.join(names[value])} {value}" for value in values[1:]]
    return ", ".join([*map(str, values[:1]), *others])


def _combinations(args: argparse.Namespace):
    """(suite, mode, encoder, batch) of all cases; encoders are the sight suite's only."""
    for suite in args.suite:
        for mode in args.mode:
            for encoder in args.encoder if suite == "sight" else ("s3d",):
                for batch in args.batch if mode != "count" else (1,):
                    yield suite, mode, encoder, batch
