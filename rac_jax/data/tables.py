"""Tables of labels as CSV files: their rows with line numbers, and their numbers checked."""

import codecs
import csv
import io
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence

# Between cells: comma, or what spreadsheets of other countries write.
DELIMITERS = ",;\t"
BOMS = {
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
}


def read_rows(
    path: pathlib.Path,
    required: Iterable[str],
    spare: str | None = None,
    header: Sequence[str] | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table of text with a header line, or of one whose columns are known.

    Args:
      path: the table: UTF-8, or UTF-16 with a byte order mark; cells between commas, semicolons
        or tabs, whichever the header line has most of. Rows without content are passed over.
      required: columns that it must have.
      spare: the column for what a row has after the header's cells, with commas between; None
        where that is wrong.
      header: the columns of a table that has no header line.

    Yields:
      The number of the line that a row ends on, and its cells by column.

    Raises:
      OSError: if the file cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a missing column, a row with another number
        of cells than the header, no row at all, or a file that is no such table.
    """
    required, named = list(required), header is not None
    text = _text(path)
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    rows = 0
    try:
        if not named:
            header = [name.strip() for name in next(reader, [])]
            # A trailing delimiter makes a column without a name.
            while header and not header[-1]:
                header.pop()
        if repeated := {name for name in header if header.count(name) > 1}:
            raise wrong(path, 1, f"the column {min(repeated)!r} is there twice")
        if missing := [name for name in required if name not in header]:
            needs = f"needs {','.join(required)}"
            raise wrong(path, 1, f"has no column {missing[0]!r}, {needs}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            extra = cells[len(header) :]
            more = spare is None and any(cell.strip() for cell in extra)
            if len(cells) < len(header) or more:
                what = "has another number of cells than the header"
                if named:
                    what = f"has {len(cells)} cells, not {len(header)}"
                raise wrong(path, reader.line_num, what)
            rows += 1
            row = dict(zip(header, cells, strict=False))
            if spare is not None:
                row[spare] = ",".join(cell.strip() for cell in extra).strip(",")
            yield reader.line_num, row
    except csv.Error as error:
        raise wrong(path, reader.line_num, str(error)) from None
    if not rows:
        raise wrong(
            path, 1, "has a header and no rows" if reader.line_num else "is empty"
        )


def read_lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """The lines of a list without a header, stripped, with their numbers; without blank ones.

    Raises:
      OSError: if the file cannot be read.
      ValueError: naming the line of the first byte that is no text.
    """
    for line, text in enumerate(_text(path).splitlines(), 1):
        if text.strip():
            yield line, text.strip()


def _text(path: pathlib.Path) -> str:
    """The text of a file, UTF-8 or, with a byte order mark, UTF-16.

    Raises:
      OSError: if it cannot be read.
      ValueError: naming the line of the first byte that is no such text.
    """
    content = path.read_bytes()
    encoding, name = BOMS.get(content[:2], ("utf-8-sig", "UTF-8"))
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore")
        line = before.count("\n") + 1
        raise wrong(path, line, f"is not {name} text") from None


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
        # Python's own way to group digits is nobody's in a table.
        if "_" in text:
            raise ValueError
        # A comma in a cell can only be a decimal one.
        value = float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        raise wrong(path, line, f"{name} {text!r} is not a number") from None
    if not 0 <= value < float("inf"):
        raise wrong(path, line, f"{name} {text} must be a number from 0 on")
    return value


def numbered(
    path: pathlib.Path, line: int, row: dict[str, str], lead: str
) -> list[float]:
    """Takes the numbers of the columns lead1, lead2, ... out of a row, without empty cells.

    Raises:
      ValueError: as `number`.
    """
    names = (f"{lead}{place}" for place in itertools.count(1))
    columns = list(itertools.takewhile(row.__contains__, names))
    found = [number(path, line, row, column) for column in columns]
    return [value for value in found if value is not None]


def wrong(path: pathlib.Path, line: int, what: str) -> ValueError:
    """The error of a line."""
    return ValueError(f"{path.name}:{line}: {what}")
