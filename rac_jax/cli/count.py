"""`rac count`: one line per video, and JSON, a plot or an annotated video where asked."""

import argparse
import contextlib
import gc
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rac_jax import shipped
from rac_jax.cli.arguments import seconds, share
from rac_jax.cli.items import attempt, describe, exit_code, terminable
from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import (
    check_target,
    complain,
    json_text,
    place_targets,
    say,
    write_text,
)

if TYPE_CHECKING:
    from rac_jax.counting.source import FileSource

PLOT_SUFFIXES = (".png", ".svg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac count`; those of the model depend on the command line."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="video or sound files, or folders of them; a silent clip.mp4 takes the sound of "
        "clip.wav beside it",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="count the sample video that comes with the package",
    )
    parser.add_argument(
        "--start", type=seconds, default=0.0, metavar="S", help="start at this second"
    )
    parser.add_argument("--end", type=seconds, metavar="S", help="end at this second")
    parser.add_argument(
        "--skim",
        type=share,
        metavar="BUDGET",
        help="hear all of it, but look at this share of it only, such as 10%%: where sound and "
        "keyframes promise repetitions",
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write the results as JSON: an object for one file, a list for several or a folder",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE|DIR",
        help="draw the result (.png or .svg), or one PNG per video",
    )
    parser.add_argument(
        "--annotate",
        metavar="FILE|DIR",
        help="write the video with the running count burnt in, or one per video",
    )
    add_model_arguments(parser, argv)


def complain_of_faults(result) -> None:
    """Says in one line what is wrong with a file that was counted all the same."""
    reasons = [fault.removeprefix(f"{result.file}: ") for fault in result.faults]
    complain(f"{result.file}: counted what can be read; {'; '.join(reasons)}")


def run(args: argparse.Namespace) -> int:
    """Counts every file; a file that fails is reported and the others go on.

    What was counted is written also where the command is stopped in the middle.

    Returns:
      0; 1 if any file failed or could be read only in part; 2 if nothing could be started; 130
      or 143 if it was stopped.
    """
    from rac_jax import media

    if args.sample:
        args.paths.append(str(shipped.find_shipped(*shipped.SAMPLE)))
    if not args.paths:
        complain("count: give a video, a sound file or a folder, or --sample")
        return 2
    if args.end is not None and args.end <= args.start:
        complain(f"--end: {args.end:g} s is not after --start {args.start:g} s")
        return 2
    # Everything that can be known is checked before the first file is counted.
    files, failures = [], []
    try:
        options = counting_options(args)
        with media.collect_faults() as faults:
            for path in args.paths:
                found, reason = attempt(path, lambda: media.find_media([path]))  # noqa: B023
                files += [file for file in found or () if file not in files]
                if reason is not None:
                    failures.append({"file": path, "error": reason})
        # What lies in a folder and cannot be read.
        for fault in faults:
            failures.append({"file": fault.partition(": ")[0], "error": fault})
        for failure in failures:
            complain(failure["error"])
        if args.json is not None:
            check_target(args.json)
        plots = place_targets("--plot", args.plot, PLOT_SUFFIXES, files)
        videos = place_targets("--annotate", args.annotate, VIDEO_SUFFIXES, files)
    except (ValueError, OSError) as error:
        complain(describe("count", error).removeprefix("count: "))
        return 2
    single = len(args.paths) == 1 and not pathlib.Path(args.paths[0]).is_dir()
    records: list[dict[str, Any]] = []
    code = 0
    try:
        with terminable():
            if files:
                code = _count_files(args, options, files, plots, videos, records)
    except KeyboardInterrupt as stop:
        complain(f"stopped; {len(records)} of {len(files)} files were counted")
        code = exit_code(stop)
    if code == 2:
        return 2
    records += failures
    if args.json is not None:
        text = json_text(records[0] if single and records else records)
        _, reason = attempt(args.json, lambda: write_text(args.json, text))
        if reason is not None:
            complain(reason)
            return code or 1
    bad = any("error" in record or record["faults"] for record in records)
    return code or int(bad)


def _open_early(
    args: argparse.Namespace, options: dict[str, Any], path: pathlib.Path
) -> "FileSource | pathlib.Path":
    """A file that is already being read; or its path, if nothing can be read of it so early."""
    from rac_jax.counting.source import FileSource

    chosen = args.family.Options(**options)
    try:
        needs = args.family.needs(args.config, chosen)
        source = FileSource(path, needs, start_s=args.start, end_s=args.end)
    # Said by whoever counts it; and of a config that cannot be, when the model is loaded.
    except (ValueError, OSError, LookupError, TypeError, AttributeError):
        return path
    source.begin()
    return source


def _begin(args: argparse.Namespace, options: dict[str, Any], path: pathlib.Path):
    """What can be done of the first file before there is a model: opened, or previewed."""
    if args.skim is None:
        return _open_early(args, options, path)
    from rac_jax.counting.skim import preview

    return preview.preview(path, start_s=args.start, end_s=args.end)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Imports make many objects and no garbage: they are not searched for any, now or later."""
    fresh = "jax" not in sys.modules  # else nothing large is imported here
    if fresh:
        gc.disable()
    try:
        yield
    finally:
        if fresh:
            gc.freeze()
            gc.enable()


def _count_files(
    args: argparse.Namespace,
    options: dict[str, Any],
    files: list[pathlib.Path],
    plots: dict[str, pathlib.Path],
    videos: dict[str, pathlib.Path],
    records: list[dict[str, Any]],
) -> int:
    """Counts files one by one.

    Args:
      args: of the command.
      options: of the model.
      files: to count.
      plots, videos: what is to be drawn of which, see `place_targets`.
      records: one is added for each file, as soon as it is dealt with.

    Returns:
      The exit code: 2 if the model fails to load, 1 if something could not be drawn.
    """
    from rac_jax import counting
    from rac_jax.counting.ahead import call_ahead
    from rac_jax.counting.skim import skimmer
    from rac_jax.models import loading

    # Read while JAX is imported and the model loaded, which takes as long as a short video.
    ((_, opened),) = call_ahead(lambda path: _begin(args, options, path), files[:1])
    try:
        with _without_collections():
            counting.enable_compilation_cache()
            counter = loading.load(args.model)
    except counting.ModelError as error:
        complain(error)
        return 2

    def count(path):
        if args.skim is not None:
            return skimmer.skim(
                counter,
                path,
                args.skim,
                start_s=args.start,
                end_s=args.end,
                known=opened() if path == files[0] else None,
                **options,
            )
        return counter.count(
            opened() if path == files[0] else path,
            start_s=args.start,
            end_s=args.end,
            progress=sys.stderr.isatty(),
            **options,
        )

    code = 0
    for path, wait in call_ahead(count, files):
        name = os.fspath(path)
        result, reason = attempt(name, wait)
        if result is None:
            complain(reason)
            records.append({"file": name, "error": reason})
            continue
        records.append(result.to_dict())
        # With JSON on standard output the lines for people go to stderr.
        out = sys.stderr if args.json == "-" else sys.stdout
        say(result, out)
        if args.skim is not None:
            say(f"  {skimmer.skimmed(result).sentence}", out)
        if args.verbose:
            say(result.explain(), out)
        if result.faults:
            complain_of_faults(result)
        for target, draw in (
            (plots.get(name), result.plot),
            (videos.get(name), result.annotate),
        ):
            # A picture that cannot be drawn does not undo a count.
            if target is not None:
                _, reason = attempt(f"{name}: {target}", lambda: draw(target))  # noqa: B023
                if reason is not None:
                    complain(reason)
                    code = 1
    return code
