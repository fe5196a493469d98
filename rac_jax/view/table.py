"""Many results as one table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rac_jax.counting.result import CountResult

if TYPE_CHECKING:
    import pandas

Cell = str | float | int | None


def to_table(
    results: Iterable[CountResult],
) -> "list[dict[str, Cell]] | pandas.DataFrame":
    """A row per result, for looking through many of them.

    Args:
      results: any number of them, of one model or several.

    Returns:
      A pandas DataFrame where pandas is installed, and a list of dictionaries elsewhere. Its
      columns are file, start_s, duration_s, count, rounded, confidence, certainty, period_s,
      sets (how many), model and seconds, as in `CountResult`; then for every stream of any of
      the results its count under its name and its weight under its name and "_weight". What a
      result does not have is None.
    """
    results = list(results)
    names = list(dict.fromkeys(one.name for r in results for one in r.streams))
    rows = [_row(result, names) for result in results]
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)


def _row(result: CountResult, names: list[str]) -> dict[str, Cell]:
    """The row of one result, with columns for the streams of these names."""
    row: dict[str, Cell] = {
        "file": result.file,
        "start_s": result.start_s,
        "duration_s": result.duration_s,
        "count": result.count,
        "rounded": result.rounded,
        "confidence": result.confidence,
        "certainty": result.certainty or None,
        "period_s": result.period_s,
        "sets": None if result.sets is None else len(result.sets),
        "model": result.model,
        "seconds": result.seconds,
    }
    for name in names:
        stream = result.stream(name)
        row[name] = None if stream is None else stream.count
        row[f"{name}_weight"] = None if stream is None else stream.weight
    return row
