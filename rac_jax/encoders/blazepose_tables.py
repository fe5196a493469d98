"""MediaPipe's names of the landmark network's weights, and ours: see `strided_blazepose`.

In the file every convolution has a batch normalisation folded into it, by whose number, which
follows the order of the layers, its bias and a depthwise kernel are found: their names have
several parts with ";" between, of which one is that normalisation. The name of a dense kernel is
a number of its own.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rac_jax.encoders.strided_blazepose import BLOCKS, ENTRIES
from rac_jax.interop.tables import TableError

MODEL, NORM = "model_1/model/", "batch_normalization"


def _numbered(names: Sequence[str], number: int) -> str:
    """The n-th of a Keras layer, the first one without a number."""
    return names[0] + (f"_{number}" if number else "") + names[1]


def _layers() -> Iterator[tuple[str, int, int | None]]:
    """(path, number of the normalisation, number of the dense convolution or None)."""
    norm, dense = 0, 0
    for entry in range(ENTRIES):
        if entry == 17:
            # Before it the file has the first layers of the heat maps, and the numbers of the
            # others: 31 to 34, and 47 to 54.
            norm, dense = 55, 35
        if entry == 0:
            parts = ("",)
        elif entry > 16:
            parts = ("/depthwise", "/project")
        elif entry == 16:
            parts = ("/expand", "/depthwise")
        elif BLOCKS[entry - 1][-1] == 1:
            parts = ("/depthwise", "/project")
        else:
            parts = ("/expand", "/depthwise", "/project")
        for part in parts:
            depthwise = part == "/depthwise"
            yield f"params/entry{entry}{part}", norm, None if depthwise else dense
            norm, dense = norm + 1, dense + (not depthwise)


def read_constants(constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of the network that sees single frames.

    Args:
      constants: of the file, by its names; kernels are [O, kh, kw, C], depthwise ones
        [1, kh, kw, C].

    Returns:
      Arrays by our paths, float32; `inverted_tables.inflate` makes them look back.

    Raises:
      TableError: naming an array that is missing.
    """
    known = {(name, array.ndim): array for name, array in constants.items()}
    for name, array in constants.items():
        norms = [part for part in name.split(";") if NORM in part]
        known |= {(part, array.ndim): array for part in norms}

    def take(name: str, axes: int) -> np.ndarray:
        if (name, axes) not in known:
            kind = "kernel" if axes == 4 else "bias"
            raise TableError(f"lacks the {kind} {name}")
        return np.asarray(known[name, axes], np.float32)

    found = {}
    for path, norm, dense in _layers():
        folded = _numbered((f"{MODEL}{NORM}", "/FusedBatchNormV3"), norm)
        if dense is None:
            kernel = take(folded, 4).transpose(1, 2, 0, 3)  # [kh, kw, 1, C]
        else:
            name = _numbered((f"{MODEL}conv2d", "/Conv2D"), dense)
            kernel = take(name, 4).transpose(1, 2, 3, 0)  # [kh, kw, C, O]
        found[f"{path}/kernel"] = kernel
        found[f"{path}/bias"] = take(folded, 1)
    return found
