"""The `rac` command: finds the subcommand's file and runs it.

A subcommand is a module with `add_arguments(parser, argv)` and `run(args) -> exit code`; it
imports nothing heavy before `run`, so that help and mistakes answer at once.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from rac_jax.cli.items import STOPPED, exit_code
from rac_jax.cli.output import complain, escape_what_cannot_be_shown
from rac_jax.counting.model_config import ModelError
from rac_jax.version import __version__

COMMANDS = {
    "bench": "measure speed, beside PyTorch if asked",
    "count": "count the repetitions in videos",
    "convert": "read PyTorch checkpoints into models, and write them back",
    "data": "count and check the labels and videos of data sets",
    "events": "mark what should be heard in a video, and dub it",
    "evaluate": "score a model on videos with known counts",
    "find": "find where something repeats in long videos, without looking at all of them",
    "live": "count a camera, a stream or a file while it plays",
    "pose": "write the joints of the person in videos, frame by frame",
    "scenes": "render procedural videos with known counts",
    "teach": "teach one exercise by a few clips, as a model that counts it",
    "train": "train a system, and export it as a model",
}

# Packages that not everybody needs, and the extra that has them.
EXTRAS = {
    "ai_edge_litert": "pose",
    "array_record": "train",
    "grain": "train",
    "ml_collections": "train",
    "orbax": "train",
    "starlette": "live",
    "tensorboardX": "train",
    "tensorflow_datasets": "train",
    "torch": "bench",
    "uvicorn": "live",
}

LOG = "write a debug log to stderr"
SAY_MORE = "say what each stream counted, and write a debug log to stderr"
VERBOSE = {"count": SAY_MORE, "live": SAY_MORE}


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command's parser; only the module of the subcommand in `argv` is imported.

    Raises:
      ModelError: if the command line names a model that there is not.
    """
    parser = argparse.ArgumentParser(
        prog="rac",
        description="Repetitive activity counting in video, by sight and sound.",
    )
    parser.add_argument("--version", action="version", version=f"rac_jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = argv[0] if argv else None
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
        )
        if name == chosen and name != "train":
            module = importlib.import_module(f"rac_jax.cli.{name}")
            module.add_arguments(command, argv[1:])
            command.add_argument(
                "-v", "--verbose", action="store_true", help=VERBOSE.get(name, LOG)
            )
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    escape_what_cannot_be_shown()
    try:
        return _run(argv)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        complain(
            f"{argv[0]}: needs {error.name}, which is not installed; "
            f'pip install "rac_jax[{extra}]"'
        )
        return 2
    except KeyboardInterrupt as stop:
        complain("interrupted")
        return exit_code(stop)
    except BrokenPipeError:
        # The reader of our output (`head`, say) has gone; that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run_and_exit() -> None:
    """The `rac` command as a process."""
    code = main()
    if code in STOPPED:
        # Threads that still decode or compute are not waited for: at a normal end of the
        # interpreter they would be torn out of native code, which aborts the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run(argv: list[str]) -> int:
    if argv[:1] == ["train"]:
        # Its flags come from the config file, which argparse cannot know.
        from rac_jax.cli import train

        return train.main(argv[1:])
    try:
        parser = build_parser(argv)
    except ModelError as error:
        complain(error)
        return 2
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        reason = None
        if "family" in args:
            from rac_jax.cli.options import refusal

            reason = refusal(args, unknown)
        if reason is None:
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        complain(reason)
        return 2
    logging.basicConfig(
        format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING
    )
    if args.verbose:
        logging.getLogger("rac_jax").setLevel(logging.DEBUG)
    return args.run(args)


if __name__ == "__main__":
    run_and_exit()
