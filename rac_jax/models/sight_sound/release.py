"""The files of the authors' release of paper 1, as the command line asks for them."""

import argparse
from typing import Any

from rac_jax.counting.family import Conversion, Variables

# Stream or part to the name that its file has in the release.
FILES = {
    "sight": "visual_checkpoint.pt",
    "sound": "audio_checkpoint.pt",
    "stride": "sr_checkpoint.pt",
    "reliability": "conf_checkpoint.pt",
}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    for part, file in FILES.items():
        parser.add_argument(f"--{part}", required=True, metavar="FILE", help=file)


def _read(args: argparse.Namespace) -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.sight_sound.conversion import read_release

    return read_release(args.sight, args.sound, args.stride, args.reliability)


CONVERSION = Conversion(
    kind="sight-sound-release",
    summary="the four files that the authors released",
    add_arguments=_add_arguments,
    read=_read,
)
