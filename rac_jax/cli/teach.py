"""`rac teach`: one exercise from a few marked clips, as a model that counts it."""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from rac_jax.cli.items import attempt, describe
from rac_jax.cli.output import complain, say


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac teach`."""
    parser.add_argument(
        "--tags",
        required=True,
        metavar="FILE|DIR",
        help="a CSV with file,start_s,end_s of every repetition and, if known, middle_s; "
        "or the folder of a project of sense's tools",
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
      0; 1 if a clip could not be read, or the model could not be written; 2 if nothing could be
      started.
    """
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
