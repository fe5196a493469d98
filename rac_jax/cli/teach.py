"""`rac teach`: one exercise from a few marked clips, as a model that counts it.

The clips may be recorded by it, too, while somebody presses a key for every repetition.
"""

import argparse
import contextlib
import os
import pathlib
import queue
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from rac_jax.cli.arguments import whole_number
from rac_jax.cli.items import FAILURES, attempt, describe, exit_code, terminable
from rac_jax.cli.output import complain, say

TAGS = "tags.csv"  # of what is recorded, beside its clips
SIDE = 256  # pixels of the shorter side of what is recorded: no model sees more
LATE_S = 10.0  # that a frame may wait for the one before it to be written
HELP_ON_KEYS = (
    "Enter: a repetition begins, or ends where the next one begins; p and Enter: a break; "
    "n and Enter: the next clip; q and Enter: that is all"
)


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac teach`."""
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument(
        "--tags",
        metavar="FILE|DIR",
        help="a CSV with file,start_s,end_s of every repetition and, if known, middle_s; "
        "or the folder of a project of sense's tools",
    )
    shown.add_argument(
        "--record",
        metavar="DIR",
        help="record clips into this folder, beside those that are there, and mark their "
        f"repetitions: {HELP_ON_KEYS}",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--camera",
        type=lambda text: whole_number(text, least=0),
        default=0,
        metavar="N",
        help="that is recorded (default: %(default)s)",
    )
    source.add_argument(
        "--source",
        metavar="FILE|URL",
        help="that is recorded instead, at its own pace",
    )
    parser.add_argument(
        "--videos",
        metavar="DIR",
        help="where the files lie (default: beside the CSV, or videos_train of the project)",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the model folder to write"
    )
    parser.add_argument(
        "--label", metavar="NAME", help="what is taught, of a project with several"
    )
    parser.add_argument(
        "--start",
        metavar="DIR",
        help="a model folder whose features are read (default: features that need no weights)",
    )
    parser.add_argument(
        "--name", help="of the exercise (default: the name of the folder to write)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="(default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Teaches.

    Returns:
      0; 1 if a clip could not be recorded or read, or the model could not be written; 2 if
      nothing could be started; 130 or 143 if it was stopped while it recorded.
    """
    if args.record is not None:
        code = _record(args)
        if code:
            return code
        args.tags = os.path.join(args.record, TAGS)
    from rac_jax.counting import ModelError, enable_compilation_cache, weights
    from rac_jax.data.phase_tags import read_tags
    from rac_jax.train import teaching

    try:
        clips = read_tags(args.tags, args.videos, args.label)
        teaching.check_clips(clips, args.tags)
        weights.check_folder(args.out)
        enable_compilation_cache()
        family, pupil = _pupil(args.start)
    except (ValueError, OSError) as error:
        complain(describe("teach", error).removeprefix("teach: "))
        return 2
    lessons, code = [], 0
    for clip in clips:
        lesson, reason = attempt(clip.path, lambda clip=clip: teaching.see(pupil, clip))
        if lesson is None:
            complain(reason)
            code = 1
            continue
        lessons.append(lesson)
    try:
        teaching.check_clips([one.clip for one in lessons], "what could be read")
        name = args.name or pathlib.Path(args.out).name
        taught = teaching.teach(family, pupil, lessons, {"name": name}, args.seed)
        counter = taught.counter
        weights.save_model(args.out, counter.config, counter.variables)
    except (ValueError, OSError, ModelError) as error:
        complain(describe(args.out, error))
        return 1
    for lesson, (marked, counted) in zip(lessons, taught.left_out, strict=True):
        say(
            f"{lesson.clip.path}: {counted} counted when left out, {marked} marked",
            sys.stdout,
        )
    found = counter.config["accuracy"]["left_out"]
    if not any((one.phases == 0).any() for one in lessons):
        complain(f"{args.tags}: shows nothing else, so whatever moves may be counted")
    say(
        f"{args.out}: taught by {len(lessons)} clips; of those left out {found['right']} were "
        f"counted right, {found['one_off_at_most']} with one off at most",
        sys.stdout,
    )
    return code


def _record(args: argparse.Namespace) -> int:
    """Records clips and their tags, which are kept whatever comes next; an exit code."""
    from rac_jax.counting import weights
    from rac_jax.data.phase_tags import read_tags, write_tags
    from rac_jax.media.live import LiveSource
    from rac_jax.train.recording import record

    name = args.source if args.source is not None else f"camera {args.camera}"
    folder = pathlib.Path(args.record)
    tags = folder / TAGS
    try:
        weights.check_folder(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        clips = read_tags(tags, None) if tags.exists() else []
        source = LiveSource(name, short_side=SIDE, late_s=LATE_S)
    except FAILURES as error:
        complain(describe("teach", error).removeprefix("teach: "))
        return 2
    say(f"{name}: recorded into {folder}. {HELP_ON_KEYS}.", sys.stderr)
    pressed = _Keys(sys.stdin)
    try:
        with terminable(), contextlib.closing(source):
            for clip in record(source, pressed.next, folder, _tell):
                clips.append(clip)
                write_tags(tags, clips)
                say(f"{clip.path}: {len(clip.cycles)} repetitions marked", sys.stdout)
    except KeyboardInterrupt as stop:
        return exit_code(stop)
    except FAILURES as error:
        complain(describe(name, error))
        return 1
    return 0


def _tell(text: str) -> None:
    say(text, sys.stderr)


class _Keys:
    """The keys that come as lines, read by a thread of their own."""

    def __init__(self, lines: TextIO):
        self._pressed: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: TextIO) -> None:
        from rac_jax.train.recording import BREAK, END, MARK, NEXT

        known = {"": MARK, "p": BREAK, "n": NEXT, "q": END}
        for line in lines:
            key = known.get(line.strip().lower())
            if key is not None:
                self._pressed.put(key)

    def next(self) -> str | None:
        """The next one, None if none was pressed since."""
        try:
            return self._pressed.get_nowait()
        except queue.Empty:
            return None


def _pupil(start: str | os.PathLike | None):
    """(family, pupil) of a model folder, or of the first family that teaches from nothing.

    Raises:
      ModelError: if the model cannot be loaded, or not be taught.
    """
    from rac_jax import models
    from rac_jax.counting import ModelError
    from rac_jax.counting.family import Family
    from rac_jax.models import loading

    if start is None:
        for name in models.family_names():
            family = models.find_family(name)
            if isinstance(family, Family):
                pupil = family.pupil(None)
                if pupil is not None:
                    return family, pupil
        raise ModelError("no family can be taught without a model to start from")
    family, _ = loading.read_family(start)
    pupil = family.pupil(loading.load_model(start))
    if pupil is None:
        raise ModelError(
            f"{start}: is of the family {family.name}, which cannot be taught"
        )
    return family, pupil
