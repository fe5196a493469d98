"""What the subcommands share: writing files whole, and saying what went wrong in one line."""

import contextlib
import os
import pathlib
import sys
import tempfile
from typing import TextIO


def say(message: object, file: TextIO) -> None:
    """Writes a message at once; a progress bar of another thread makes way for it."""
    bars = sys.modules.get("tqdm")  # only imported where there is a bar
    with bars.tqdm.external_write_mode() if bars else contextlib.nullcontext():
        print(message, file=file, flush=True)


def complain(message: object) -> None:
    """Writes one line to stderr."""
    say("rac: " + " ".join(str(message).split()), sys.stderr)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file whole or not at all; "-" is standard output.

    Raises:
      OSError: if it cannot be written.
    """
    if os.fspath(path) == "-":
        print(text)
        return
    path = pathlib.Path(path)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent or ".")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)  # mkstemp makes it private
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
