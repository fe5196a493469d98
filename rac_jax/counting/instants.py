"""The marked instants of a result: a family's own events, or where its cycles begin or end."""

from rac_jax.counting.result import CountResult

# What counts as an instant; cycles are those of the sets.
KINDS = ("events", "starts", "ends")


def instants(result: CountResult, kind: str = KINDS[0]) -> tuple[float, ...] | None:
    """Times in seconds of the file, rising.

    Args:
      result: of any family.
      kind: of `KINDS`.

    Returns:
      The times; None where the family does not say, which is not the same as none.

    Raises:
      ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"instants: {kind!r} is not one of {', '.join(KINDS)}")
    if kind == KINDS[0]:
        return None if result.events is None else tuple(sorted(result.events))
    if result.sets is None:
        return None
    place = KINDS.index(kind) - 1
    return tuple(sorted(cycle[place] for one in result.sets for cycle in one.cycles))
