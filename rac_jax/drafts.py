"""Files and folders that appear whole or not at all: written beside their place, then renamed.

A constant of all rooms, as `version` is; standard library only.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def draft_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields the path of a new empty file to write; it replaces `path` when the block ends well.

    The file keeps the suffix of `path`, by which many writers choose a format.

    Args:
      path: the file that is to appear; its folder must be there.

    Raises:
      OSError: if it cannot be written. Whatever the block raises leaves nothing behind.
    """
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}-", suffix=f".part{path.suffix}", dir=path.parent
    )
    os.close(handle)
    draft = pathlib.Path(name)
    try:
        yield draft
        draft.chmod(0o666 & ~_mask())  # mkstemp makes it private
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def draft_folder(
    path: str | os.PathLike, *, replace: bool = True
) -> Iterator[pathlib.Path]:
    """Yields a new empty folder to fill; it becomes `path` when the block ends well.

    Args:
      path: the folder that is to appear; folders above it are made.
      replace: whether a folder that is already there is replaced; if not, one with something
        in it is an OSError and stays.

    Raises:
      OSError: if it cannot be written. Whatever the block raises leaves nothing behind.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = pathlib.Path(
        tempfile.mkdtemp(prefix=f".{path.name}-", suffix=".part", dir=path.parent)
    )
    try:
        yield draft
        draft.chmod(0o777 & ~_mask())  # mkdtemp makes it private
        if replace and path.exists():
            shutil.rmtree(path)
        os.rename(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _mask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
