"""`rac pose`: the joints of the person in videos, a file of skeletons each."""

import argparse
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from rac_jax.cli.arguments import positive_number, seconds
from rac_jax.cli.items import attempt, describe, exit_code, terminable
from rac_jax.cli.output import complain, say

FORMATS = ("csv", "json", "npz")
FPS = 16.0  # what the networks of skeletons are trained on


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac pose`."""
    del argv
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="video files, or folders"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        default=".",
        help="folder for the files, NAME.csv of NAME.mp4 (default: here)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="of the files"
    )
    parser.add_argument(
        "--models",
        metavar="WHEEL",
        help="MediaPipe's wheel, or a folder with what is in it (default: the installed package)",
    )
    parser.add_argument(
        "--fps",
        type=positive_number,
        default=FPS,
        metavar="F",
        help=f"frames per second to look at, at most (default: {FPS:g})",
    )
    parser.add_argument(
        "--start", type=seconds, default=0.0, metavar="S", help="start at this second"
    )
    parser.add_argument("--end", type=seconds, metavar="S", help="end at this second")


def run(args: argparse.Namespace) -> int:
    """Looks at every video; one that fails is reported and the others go on.

    Returns:
      0; 1 if any file failed; 2 if nothing could be started; 130 or 143 if it was stopped.
    """
    from rac_jax import media
    from rac_jax.data import blazepose, skeletons

    if args.end is not None and args.end <= args.start:
        complain(f"--end: {args.end:g} s is not after --start {args.start:g} s")
        return 2
    folder = pathlib.Path(args.out)
    try:
        files = media.find_media(args.paths)
        networks = blazepose.load_networks(args.models, threads=os.cpu_count() or 1)
        folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        complain(describe("pose", error).removeprefix("pose: "))
        return 2

    def frames(path: pathlib.Path) -> Iterator[tuple[np.ndarray, float]]:
        for chunk in media.stream_frames(
            path, start_s=args.start, end_s=args.end, most_fps=args.fps
        ):
            yield from zip(chunk.frames, chunk.times_s.tolist(), strict=True)

    failed = False
    try:
        with terminable():
            for path in files:
                target = folder / f"{path.stem}.{args.format}"

                def look(path=path, target=target) -> skeletons.Skeletons:
                    model = blazepose.BlazePose(*networks)
                    found = blazepose.pose_skeletons(str(path), frames(path), model)
                    skeletons.write_skeletons(found, target)
                    return found

                found, reason = attempt(str(path), look)
                if found is None:
                    failed = True
                    complain(reason)
                    continue
                seen = int(found.poses[..., 2].any(axis=(1, 2)).sum())
                number = len(found.poses)
                say(
                    f"{path}: a person in {seen} of {number} frames, {target}",
                    sys.stdout,
                )
    except KeyboardInterrupt as stop:
        complain("stopped")
        return exit_code(stop)
    return int(failed)
