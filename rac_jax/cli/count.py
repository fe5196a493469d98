"""`rac count`: one line per video, and JSON, a plot or an annotated video where asked."""

import argparse
import contextlib
import gc
import json
import pathlib
import sys
from collections.abc import Iterator

from rac_jax.cli.arguments import whole_number
from rac_jax.cli.output import complain, say, write_text
from rac_jax.weights import DEFAULT_MODEL

PLOT_SUFFIXES = (".png", ".svg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


def _stride(text: str) -> int | None:
    if text == "auto":
        return None
    return whole_number(text)


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


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose a model and how it counts."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|DIR",
        help="a model that ships with the package, or a model folder (default: %(default)s)",
    )
    parser.add_argument(
        "--protocol",
        choices=("paper", "released"),
        help="how clips are drawn and fused: as in the paper, or exactly as in the authors' "
        "released code (default: what the model says)",
    )
    parser.add_argument(
        "--stride",
        type=_stride,
        default=None,
        metavar="auto|N",
        help="temporal stride in frames (default: auto, the ranker chooses)",
    )
    parser.add_argument(
        "--max-stride",
        type=whole_number,
        metavar="N",
        help="largest stride the ranker may choose (default: what the model says)",
    )
    streams = parser.add_mutually_exclusive_group()
    streams.add_argument("--no-sound", action="store_true", help="count by sight alone")
    streams.add_argument("--no-sight", action="store_true", help="count by sound alone")


def counting_options(args: argparse.Namespace) -> dict:
    """The arguments of `Counter.count` that `add_model_arguments` asked for."""
    return {
        "protocol": args.protocol,
        "stride": args.stride,
        "max_stride": args.max_stride,
        "sight": not args.no_sight,
        "sound": not args.no_sound,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rac count`."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="video or sound files, or folders of them; a silent clip.mp4 takes the sound of "
        "clip.wav beside it",
    )
    add_model_arguments(parser)
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
        counted = _count_files(args, files, single=len(files) == 1)
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


def _open_early(args: argparse.Namespace, path: pathlib.Path):
    """A file that is already being read; or its path, if nothing can be read of it so early."""
    from rac_jax.counting.model_config import read_config
    from rac_jax.counting.source import FileSource, frame_layout

    if args.no_sight:
        return path
    try:
        layout = frame_layout(read_config(args.model), args.protocol)
        source = FileSource(path, start_s=args.start, end_s=args.end, **layout)
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


def _count_files(args: argparse.Namespace, files: list[pathlib.Path], *, single: bool):
    """Counts files one by one; returns a record per file, or None if the model fails to load."""
    from rac_jax import counting, media
    from rac_jax.counting.ahead import call_ahead

    # Read while JAX is imported and the model loaded, which takes as long as a short video.
    first = _open_early(args, files[0])
    try:
        with _without_collections():
            counting.enable_compilation_cache()
            counter = counting.load(args.model)
    except counting.ModelError as error:
        complain(error)
        return None
    options = counting_options(args)

    def count(path):
        targets = (
            _target(args.plot, PLOT_SUFFIXES, path, single),
            _target(args.annotate, VIDEO_SUFFIXES, path, single),
        )
        result = counter.count(
            first if path == files[0] else path,
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
            say(result, sys.stderr if args.json == "-" else sys.stdout)
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
    result, plot: pathlib.Path | None, annotated: pathlib.Path | None
) -> None:
    if plot is not None:
        result.plot(plot)
    if annotated is not None:
        from rac_jax.view.annotate import annotate_video

        annotate_video(result, annotated, progress=sys.stderr.isatty())
