"""Where a step's time goes: the operations of a trace, summed by the kind of layer they are in."""

import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax

METADATA = re.compile(r'%?([\w.\-]+) = .*?metadata=\{[^}]*op_name="([^"]+)"')
# The first that is found in an operation's path through the modules.
KINDS = (
    ("pooling", re.compile(r"max_pool|global_mean")),
    ("normalisation", re.compile(r"/norm/|norm\d*/")),
    ("convolution", re.compile(r"/conv/|conv_general_dilated|/dot_general")),
)


def kind_of(path: str) -> str:
    """The kind of layer of an operation."""
    for kind, pattern in KINDS:
        if pattern.search(path):
            return kind
    return "rest"


def share_by_kind(side: Any, steps: int) -> dict[str, float]:
    """Milliseconds per step, by kind of layer.

    XLA:CPU leaves its convolutions and large matrix products out of a trace: what is not
    traced there is theirs, and waiting. Where operations run at once the parts overlap.

    Args:
      side: `ours.Side` in mode forward or train.
      steps: how many to trace.

    Returns:
      {kind: ms}, "not traced" and "whole step" by the clock among them.
    """
    paths = dict(METADATA.findall(side.compiled.as_text()))
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            began = time.perf_counter()
            for _ in range(steps):
                side.step()
            whole = 1e3 * (time.perf_counter() - began) / steps
        (file,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(file))
        for plane in data.planes:
            for line in plane.lines:
                for event in line.events:
                    path = paths.get(event.name.removeprefix("%"))
                    if path is not None:
                        spent[kind_of(path)] += event.duration_ns / 1e6 / steps
    rest = max(0.0, whole - sum(spent.values()))
    return dict(spent) | {"not traced": rest, "whole step": whole}
