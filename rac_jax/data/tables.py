"""Tables of labels as CSV files: their rows with line numbers, and their numbers checked."""

import csv
import pathlib
from collections.abc import Iterable, Iterator


def read_rows(
    path: pathlib.Path, required: Iterable[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header line, UTF-8.

    Args:
      path: the CSV.
      required: columns that it must have.

    Yields:
      The number of the line that a row ends on, and its cells by column.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a missing column, a row with another number
        of cells than the header, or a file that is no such table.
    """
    required = list(required)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            header = reader.fieldnames or []
            if repeated := {name for name in header if header.count(name) > 1}:
                raise wrong(path, 1, f"the column {min(repeated)!r} is there twice")
            if missing := [name for name in required if name not in header]:
                raise wrong(
                    path,
                    1,
                    f"has no column {missing[0]!r}, needs {','.join(required)}",
                )
            for row in reader:
                if None in row or None in row.values():
                    what = "has another number of cells than the header"
                    raise wrong(path, reader.line_num, what)
                yield reader.line_num, row
        except csv.Error as error:
            raise wrong(path, reader.reader.line_num, str(error)) from None
        except UnicodeDecodeError:
            raise wrong(path, reader.line_num + 1, "is not UTF-8 text") from None


def number(
    path: pathlib.Path, line: int, row: dict[str, str], name: str
) -> float | None:
    """Takes a number out of a row; None for an empty cell or no such column.

    Raises:
      ValueError: "<name>:<line>: <what is wrong>" if it is no finite number of at least 0.
    """
    text = row.pop(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise wrong(path, line, f"{name} {text!r} is not a number") from None
    if not 0 <= value < float("inf"):
        raise wrong(path, line, f"{name} {text} must be at least 0")
    return value


def wrong(path: pathlib.Path, line: int, what: str) -> ValueError:
    """The error of a line."""
    return ValueError(f"{path.name}:{line}: {what}")
