"""The `rac` command: finds the subcommand's file and runs it.

A subcommand is a module with `add_arguments(parser)` and `run(args) -> exit code`; it imports
nothing heavy before `run`, so that help and mistakes answer at once.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from rac_jax.version import __version__

COMMANDS = {
    "bench": "measure speed, beside PyTorch if asked",
    "count": "count the repetitions in videos",
    "convert": "read PyTorch checkpoints into models, and write them back",
    "evaluate": "score a model on videos with known counts",
    "scenes": "render procedural videos with known counts",
    "train": "train a system, and export it as a model",
}


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The command's parser; only the chosen subcommand's module is imported."""
    parser = argparse.ArgumentParser(
        prog="rac",
        description="Repetitive activity counting in video, by sight and sound.",
    )
    parser.add_argument("--version", action="version", version=f"rac_jax {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name == chosen and name != "train":
            module = importlib.import_module(f"rac_jax.cli.{name}")
            module.add_arguments(command)
            command.add_argument(
                "-v",
                "--verbose",
                action="store_true",
                help="write a debug log to stderr",
            )
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("rac: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`head`, say) has gone; that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: list[str]) -> int:
    if argv[:1] == ["train"]:
        # Its flags come from the config file, which argparse cannot know.
        from rac_jax.cli import train

        return train.main(argv[1:])
    args = build_parser(argv[0] if argv else None).parse_args(argv)
    logging.basicConfig(
        format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING
    )
    if args.verbose:
        logging.getLogger("rac_jax").setLevel(logging.DEBUG)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
