"""`python -m rac_jax.cli.first_weights`: trains the first default weights and saves the model."""

import argparse
import logging
import pathlib
import shlex
import sys
from collections.abc import Sequence

from rac_jax.cli.config_file import load_config
from rac_jax.cli.output import complain


def main(argv: Sequence[str] | None = None) -> int:
    """Trains, measures and saves; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rac_jax.cli.first_weights", description=__doc__
    )
    parser.add_argument("--config", required=True, type=pathlib.Path)
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for the stages' files and, in `model`, the model",
    )
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("rac_jax").setLevel(logging.INFO)

    from rac_jax.counting import weights
    from rac_jax.train import first_weights

    try:
        config = load_config(args.config)
    except (OSError, ValueError) as error:
        complain(error)
        return 1
    where = ["--config", args.config.as_posix(), "--out", "DIR"]
    command = f"python -m rac_jax.cli.first_weights {shlex.join(where)}"
    variables, description = first_weights.train(config, args.out, command)
    print(weights.save_model(args.out / "model", description, variables, half=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
