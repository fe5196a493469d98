"""Stored features of videos: a CSV that names `.npy` files, never a pickle.

`file,label` and optionally `sound` (a second bank as long as the first) and `split`; files are
relative to the CSV. An array is [n, C] floats, n moments of C numbers. What Listen to Look's
authors call their lists are pickles of (paths, labels): write their paths and labels into a CSV.
"""

import dataclasses
import os
import pathlib

import numpy as np

from rac_jax.data import tables

REQUIRED = ("file", "label")


@dataclasses.dataclass(frozen=True)
class FeatureFile:
    """The stored features of one video.

    Attributes:
      place: "<CSV>:<line>", for messages.
      paths: of its banks: pictures, and sound where there is any.
      label: its class.
      split: "" if unknown.
    """

    place: str
    paths: tuple[pathlib.Path, ...]
    label: str
    split: str = ""

    def load(self) -> tuple[np.ndarray, ...]:
        """Its banks, [n, C] float32 each.

        Raises:
          ValueError: naming line and file, if one is missing, no such array, or of another
            length than the other.
        """
        banks = tuple(self._read(path) for path in self.paths)
        lengths = [len(bank) for bank in banks]
        if len(set(lengths)) > 1:
            names = " and ".join(path.name for path in self.paths)
            raise ValueError(f"{self.place}: {names} have {lengths} moments")
        return banks

    def _read(self, path: pathlib.Path) -> np.ndarray:
        try:
            # Not without a pickle: an array of objects runs code.
            array = np.load(path, allow_pickle=False)
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise ValueError(f"{self.place}: {path.name}: {reason}") from None
        except (ValueError, EOFError):
            what = "is no .npy file of numbers"
            raise ValueError(f"{self.place}: {path.name}: {what}") from None
        if not isinstance(array, np.ndarray):
            array.close()
            wrong = f"{self.place}: {path.name}: is an archive, not .npy"
            raise ValueError(wrong)  # noqa: TRY004, one kind of error for a file
        if array.ndim != 2 or array.dtype.kind != "f" or not array.size:
            found = f"{array.dtype} {list(array.shape)}"
            raise ValueError(
                f"{self.place}: {path.name}: must be float [n, C], not {found}"
            )
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{self.place}: {path.name}: holds a value not finite")
        return array


def read_features(path: str | os.PathLike) -> list[FeatureFile]:
    """Reads a CSV of stored features; the arrays themselves are read by `FeatureFile.load`.

    Args:
      path: the CSV.

    Returns:
      The files in the order of the lines.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a missing column or an empty cell.
    """
    path = pathlib.Path(path)
    found = []
    for line, row in tables.read_rows(path, REQUIRED):
        names = [row["file"].strip(), *filter(None, [row.get("sound", "").strip()])]
        label = row["label"].strip()
        for column, cell in (("file", names[0]), ("label", label)):
            if not cell:
                raise tables.wrong(path, line, f"{column} is empty")
        if wrong := [name for name in names if not name.endswith(".npy")]:
            raise tables.wrong(path, line, f"{wrong[0]!r} is no .npy file")
        found.append(
            FeatureFile(
                f"{path.name}:{line}",
                tuple(path.parent / name for name in names),
                label,
                row.get("split", "").strip(),
            )
        )
    return found
