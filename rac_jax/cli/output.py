"""What the subcommands share: where results go, and saying what went wrong in one line."""

import contextlib
import io
import json
import math
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rac_jax import drafts


def say(message: object, file: TextIO) -> None:
    """Writes a message at once; a progress bar of another thread makes way for it."""
    bars = sys.modules.get("tqdm")  # only imported where there is a bar
    with bars.tqdm.external_write_mode() if bars else contextlib.nullcontext():
        print(message, file=file, flush=True)


def complain(message: object) -> None:
    """Writes one line to stderr."""
    say("rac: " + " ".join(str(message).split()), sys.stderr)


def escape_what_cannot_be_shown() -> None:
    """A file's name that the terminal's encoding does not have is shown with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file whole or not at all; "-" is standard output.

    Raises:
      OSError: if it cannot be written.
    """
    if os.fspath(path) == "-":
        print(text)
        return
    with drafts.draft_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def json_text(value: Any) -> str:
    """A value as JSON, which has no NaN and no infinity: they become null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def check_target(path: str | os.PathLike) -> None:
    """Checks that a file can be written, before there is anything to write.

    Args:
      path: the file; folders above it are made. "-" is standard output.

    Raises:
      OSError: if it cannot.
    """
    if os.fspath(path) == "-":
        return
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(21, "is a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def place_targets(
    option: str,
    wanted: str | None,
    suffixes: tuple[str, ...],
    files: Sequence[str | os.PathLike],
) -> dict[str, pathlib.Path]:
    """Where what belongs to each file goes: into the named file, or into a folder.

    Args:
      option: that asked for it, for messages.
      wanted: a file with one of the suffixes, for a single file; or a folder, which is made.
        None for nothing.
      suffixes: that a file may have; in a folder the first is taken.
      files: that will be counted.

    Returns:
      Targets by file; {} for nothing. In a folder they are called as the files are, with the
      folders above where two would have the same name.

    Raises:
      ValueError: for another suffix, or one file for several.
      OSError: if nothing can be written there.
    """
    if wanted is None or not files:
        return {}
    names = [os.fspath(file) for file in files]
    path = pathlib.Path(wanted)
    if path.suffix and not path.is_dir():
        if path.suffix.lower() not in suffixes:
            known = ", ".join(suffixes)
            raise ValueError(f"{option} {wanted}: {path.suffix} is not one of {known}")
        if len(names) > 1:
            raise ValueError(
                f"{option} {wanted}: names one file, but there are several videos"
            )
        check_target(path)
        return {names[0]: path}
    targets = {
        name: path / f"{label}{suffixes[0]}"
        for name, label in zip(names, _distinct(names), strict=True)
    }
    for target in targets.values():
        check_target(target)
        break  # all lie in the same folder
    return targets


def _distinct(names: Sequence[str]) -> list[str]:
    """Short names for files: their own, with as many folders as tell them apart."""
    parts = [pathlib.PurePath(os.path.abspath(name)).parts for name in names]
    labels: list[str] = []
    for own in parts:
        depth = 1
        while depth < len(own) and sum(p[-depth:] == own[-depth:] for p in parts) > 1:
            depth += 1
        # The whole name, so that clip.mp4 and clip.mov do not overwrite each other.
        labels.append("-".join(own[-depth:]).replace(os.sep, "").replace(":", ""))
    return [
        label if labels.count(label) == 1 else f"{label}-{number}"
        for number, label in enumerate(labels)
    ]
