"""`rac find`: where something repeats in long videos, a line per span."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any

from rac_jax.cli.arguments import seconds, share
from rac_jax.cli.items import attempt, describe, exit_code, terminable
from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import check_target, complain, json_text, say, write_text

BUDGET = 0.1


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac find`; those of the model depend on the command line."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="video or sound files, or folders"
    )
    parser.add_argument(
        "--budget",
        type=share,
        default=BUDGET,
        metavar="BUDGET",
        help="share of a video to look at at most (default: 10%%)",
    )
    parser.add_argument(
        "--start", type=seconds, default=0.0, metavar="S", help="start at this second"
    )
    parser.add_argument("--end", type=seconds, metavar="S", help="end at this second")
    parser.add_argument(
        "--json", metavar="FILE|-", help="write a list with the spans of every file"
    )
    add_model_arguments(parser, argv)


def run(args: argparse.Namespace) -> int:
    """Searches every file; one that fails is reported and the others go on.

    Returns:
      0; 1 if any file failed or could be read only in part; 2 if nothing could be started; 130
      or 143 if it was stopped.
    """
    from rac_jax import counting, media
    from rac_jax.models import loading

    if args.end is not None and args.end <= args.start:
        complain(f"--end: {args.end:g} s is not after --start {args.start:g} s")
        return 2
    try:
        options = counting_options(args)
        if args.json is not None:
            check_target(args.json)
        files = media.find_media(args.paths)
        counting.enable_compilation_cache()
        counter = loading.load(args.model)
    except (ValueError, OSError) as error:
        complain(describe("find", error).removeprefix("find: "))
        return 2
    records: list[dict[str, Any]] = []
    code = 0
    try:
        with terminable():
            for path in files:
                records.append(_search(args, counter, options, path))
    except KeyboardInterrupt as stop:
        complain(f"stopped; {len(records)} of {len(files)} files were searched")
        code = exit_code(stop)
    if args.json is not None:
        _, reason = attempt(
            args.json, lambda: write_text(args.json, json_text(records))
        )
        if reason is not None:
            complain(reason)
            return code or 1
    bad = any("error" in record or record["faults"] for record in records)
    return code or int(bad)


def _search(args: argparse.Namespace, counter, options: dict[str, Any], path) -> dict:
    """Searches one file, says what was found, and returns its record."""
    from rac_jax.counting.skim import looks, skimmer

    name = os.fspath(path)
    result, reason = attempt(
        name,
        lambda: skimmer.skim(
            counter, path, args.budget, start_s=args.start, end_s=args.end, **options
        ),
    )
    if result is None:
        complain(reason)
        return {"file": name, "error": reason}
    out = sys.stderr if args.json == "-" else sys.stdout
    spans = [(one.start_s, one.end_s) for one in looks.sets_of(result)]
    for start_s, end_s in spans:
        say(f"{name}: {start_s:.1f} to {end_s:.1f} s", out)
    how = skimmer.skimmed(result)
    found = "" if spans else "nothing found; "
    say(f"{name}: {found}{how.sentence}", out)
    for fault in result.faults:
        complain(fault)
    return {
        "file": name,
        "spans": spans,
        "skim": dataclasses.asdict(how),
        "faults": list(result.faults),
    }
