"""Names and shapes of published checkpoints: shared by the tests of everything that reads them."""

import json
import pathlib

PUBLIC = pathlib.Path(__file__).parents[3] / "shared" / "checkpoint_layouts"


def layout(state) -> dict[str, list[int]]:
    """Names and shapes of a state dict."""
    return {name: list(tensor.shape) for name, tensor in state.items()}


def published() -> dict[str, dict[str, list[int]]] | None:
    """The whole public layouts by name, None where the folder of them is not at hand."""
    if not PUBLIC.is_dir():
        return None
    found = {}
    for path in PUBLIC.glob("*.json"):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def names_of(table) -> dict[str, list[int]]:
    """Names and shapes of what a table reads, with the counters that it ignores."""
    entries = {entry.name: list(entry.torch_shape) for entry in table.entries}
    return entries | {name: [] for name in table.counters()}
