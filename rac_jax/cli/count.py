"""`rac count`: one line per video, and JSON, a plot or an annotated video where asked."""

import argparse
import contextlib
import gc
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import complain, say, write_text

if TYPE_CHECKING:
    from rac_jax.counting.result import CountResult
    from rac_jax.counting.source import FileSource

PLOT_SUFFIXES = (".png", ".svg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time in seconds of at least 0"
        )
    return value


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac count`; those of the model depend on the command line."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="video or sound files, or folders of them; a silent clip.mp4 takes the sound of "
        "clip.wav beside it",
    )
    parser.add_argument(
        "--start", type=_seconds, default=0.0, metavar="S", help="start at this second"
    )
    parser.add_argument("--end", type=_seconds, metavar="S", help="end at this second")
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


def _target(
    wanted: str | None, suffixes: tuple[str, ...], video: pathlib.Path, single: bool
):
    """Where a plot or an annotated video goes: the named file, or one per video in a folder."""
    if wanted is None:
        return None
    path = pathlib.Path(wanted)
    if path.suffix.lower() in suffixes and not path.is_dir():
        if not single:
            raise ValueError(f"{wanted}: names one file, but there are several videos")
        return path
    path.mkdir(parents=True, exist_ok=True)
    # The whole name, so that clip.mp4 and clip.mov do not overwrite each other.
    return path / f"{video.name}{suffixes[0]}"


def run(args: argparse.Namespace) -> int:
    """Counts every file; a file that fails is reported and the others go on.

    Returns:
      0; 1 if any file failed or could be read only in part; 2 if nothing could be started.
    """
    from rac_jax import media

    if args.end is not None and args.end <= args.start:
        complain(f"--end: {args.end:g} s is not after --start {args.start:g} s")
        return 2
    try:
        options = counting_options(args)
    except ValueError as error:
        complain(error)
        return 2
    files, failures = [], []
    for path in args.paths:
        try:
            files += [found for found in media.find_media([path]) if found not in files]
        except media.MediaError as error:
            complain(error)
            failures.append({"file": path, "error": str(error)})
    single = len(args.paths) == 1 and not pathlib.Path(args.paths[0]).is_dir()
    records = list(failures)
    if files:
        counted = _count_files(args, options, files, single=len(files) == 1)
        if counted is None:
            return 2
        records = counted + failures
    if args.json is not None:
        try:
            write_text(
                args.json, json.dumps(records[0] if single else records, indent=2)
            )
        except OSError as error:
            complain(f"{args.json}: {error.strerror}")
            return 1
    return int(any("error" in record or record["faults"] for record in records))


def _open_early(
    args: argparse.Namespace, options: dict[str, Any], path: pathlib.Path
) -> "FileSource | pathlib.Path":
    """A file that is already being read; or its path, if nothing can be read of it so early."""
    from rac_jax.counting.source import FileSource

    chosen = args.family.Options(**options)
    needs = args.family.needs(args.config, chosen)
    try:
        source = FileSource(path, needs, start_s=args.start, end_s=args.end)
    except ValueError:  # said by whoever counts it
        return path
    source.begin()
    return source


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
    *,
    single: bool,
) -> list[dict[str, Any]] | None:
    """Counts files one by one; returns a record per file, or None if the model fails to load."""
    from rac_jax import counting, media
    from rac_jax.counting.ahead import call_ahead
    from rac_jax.models import loading

    # Read while JAX is imported and the model loaded, which takes as long as a short video.
    ((_, opened),) = call_ahead(
        lambda path: _open_early(args, options, path), files[:1]
    )
    try:
        with _without_collections():
            counting.enable_compilation_cache()
            counter = loading.load(args.model)
    except counting.ModelError as error:
        complain(error)
        return None

    def count(path):
        targets = (
            _target(args.plot, PLOT_SUFFIXES, path, single),
            _target(args.annotate, VIDEO_SUFFIXES, path, single),
        )
        result = counter.count(
            opened() if path == files[0] else path,
            start_s=args.start,
            end_s=args.end,
            progress=sys.stderr.isatty(),
            **options,
        )
        return result, targets

    records = []
    for path, wait in call_ahead(count, files):
        try:
            result, targets = wait()
            # With JSON on standard output the lines for people go to stderr.
            out = sys.stderr if args.json == "-" else sys.stdout
            say(result, out)
            if args.verbose:
                say(result.explain(), out)
            if result.faults:
                complain_of_faults(result)
            records.append(result.to_dict())
            _illustrate(result, *targets)
        except (media.MediaError, ValueError, OSError) as error:
            complain(error)
            records = [r for r in records if r["file"] != str(path)]
            records.append({"file": str(path), "error": str(error)})
    return records


def _illustrate(
    result: "CountResult", plot: pathlib.Path | None, annotated: pathlib.Path | None
) -> None:
    if plot is not None:
        result.plot(plot)
    if annotated is not None:
        result.annotate(annotated, progress=sys.stderr.isatty())
