"""Published names of networks of inverted residual blocks, and EfficientNet-Lite's folded norms.

Two layouts: paper 3's (a list `cnn` of entries, convolutions with biases), and that of
EfficientNet-Lite for PyTorch, whose batch normalisations are folded into the convolutions.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rac_jax.encoders.efficientnet_lite import VARIANTS
from rac_jax.encoders.inverted_residuals import EPSILON, make_blocks
from rac_jax.interop.tables import NORM_NAMES, Table, TableError, layer_entries

CLASSIFIER = "_fc"
# Our layers of a block to EfficientNet-Lite's convolutions and their normalisations.
BLOCK_LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def entry_name(place: Sequence[str], expands: bool) -> str:
    """Paper 3's name of a layer, such as ("entry3", "project"); its entry may not expand."""
    entry, *layer = place
    number = entry.removeprefix("entry")
    if not layer:
        return f"cnn.{number}.0"
    position = list(BLOCK_LAYERS).index(layer[0]) - (not expands)
    return f"cnn.{number}.conv.{position}" + (".0" if layer[0] != "project" else "")


def entries_table(
    shapes: Mapping[str, tuple[int, ...]],
    group: str = "",
    unused: Mapping[str, tuple[int | None, ...]] | None = None,
) -> Table:
    """The table of paper 3's layout.

    Args:
      shapes: of a network's arrays by path.
      group: where in it the encoder is, "encoder/"; "" for all of it.
      unused: further tensors of the file.
    """
    lead = f"params/{group}"

    def name(parts: tuple[str, ...]) -> str:
        return entry_name(parts, f"{lead}{parts[0]}/expand/kernel" in shapes)

    return Table(layer_entries(shapes, name, group), unused or {}, optional=True)


def efficientnet_table(shapes: Mapping[str, tuple[int, ...]]) -> Table:
    """The table of EfficientNet-Lite's convolutions with folded norms, see `fold_norms`."""
    last = max(int(number) for number in re.findall(r"entry(\d+)/", " ".join(shapes)))
    head = shapes[f"params/entry{last}/kernel"][-1]

    def name(parts: tuple[str, ...]) -> str:
        entry, *layer = parts
        number = int(entry.removeprefix("entry"))
        if layer:
            return f"_blocks.{number - 1}.{BLOCK_LAYERS[layer[0]][0]}"
        return "_conv_head" if number == last else "_conv_stem"

    unused = {f"{CLASSIFIER}.weight": (None, head), f"{CLASSIFIER}.bias": (None,)}
    return Table(layer_entries(shapes, name), unused, optional=True)


def fold_norms(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A state dict whose convolutions have the scales and shifts of their norms.

    Args:
      state: of EfficientNet-Lite for PyTorch.

    Returns:
      "<convolution>.weight" and ".bias"; its classifier as it was.

    Raises:
      TableError: naming a tensor that is missing or left over.
    """
    pairs = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    for name in state:
        if found := re.fullmatch(r"(_blocks\.\d+)\.(_\w+_conv)\.weight", name):
            norms = dict(BLOCK_LAYERS.values())
            if found[2] in norms:
                pairs[f"{found[1]}.{found[2]}"] = f"{found[1]}.{norms[found[2]]}"
    folded, used = {}, set()

    def take(name: str) -> np.ndarray:
        if name not in state:
            raise TableError(f"lacks the tensor {name}")
        used.add(name)
        return np.asarray(state[name], np.float64)

    for conv, norm in pairs.items():
        kernel = take(f"{conv}.weight")  # [O, C, kh, kw]
        scale, bias, mean, var = (
            take(f"{norm}.{leaf}") for leaf in NORM_NAMES.values()
        )
        scale, shift = _scale_and_shift(scale, bias, mean, var)
        if scale.shape != kernel.shape[:1]:
            raise TableError(
                f"{norm}.weight is {list(scale.shape)}, {conv} has {len(kernel)} channels"
            )
        folded[f"{conv}.weight"] = np.float32(kernel * scale[:, None, None, None])
        folded[f"{conv}.bias"] = np.float32(shift)
        used.add(f"{norm}.num_batches_tracked")
    # What is no part of a convolution is left to the table to know or to refuse.
    return folded | {name: state[name] for name in state if name not in used}


def folded(flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A network's arrays whose convolutions have the scales and shifts of their norms.

    Args:
      flat: "params/..." and "batch_stats/..." by path, with norms or without.

    Returns:
      The same network's without norms: "params/..." alone, kernels and biases.
    """
    found = dict(flat)
    for path in flat:
        if not path.endswith("/norm/scale"):
            continue
        layer = path.removeprefix("params/").removesuffix("/norm/scale")
        scale, bias, mean, var = (
            np.asarray(found.pop(f"{kind}/{layer}/norm/{leaf}"), np.float64)
            for kind, leaf in (
                ("params", "scale"),
                ("params", "bias"),
                ("batch_stats", "mean"),
                ("batch_stats", "var"),
            )
        )
        scale, shift = _scale_and_shift(scale, bias, mean, var)
        kernel = f"params/{layer}/kernel"
        found[kernel] = np.float32(np.asarray(found[kernel]) * scale)
        found[f"params/{layer}/bias"] = np.float32(shift)
    return found


def _scale_and_shift(
    scale: np.ndarray, bias: np.ndarray, mean: np.ndarray, var: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a normalisation does to each channel [O]: by what it multiplies, and what it adds."""
    scale = scale / np.sqrt(var + EPSILON)
    return scale, bias - mean * scale


def find_variant(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """{"width", "depth", "size"} of the published EfficientNet-Lite with such weights.

    Raises:
      TableError: if there is none.
    """
    blocks = {int(found[1]) for name in state if (found := _BLOCK.match(name))}
    wide = [
        np.shape(state.get(f"_blocks.{place}._project_conv.weight"))[:1]
        for place in sorted(blocks)
    ]
    for width, depth, size in VARIANTS:
        known = make_blocks("efficientnet", width, depth, temporal=False)
        if wide == [(block.channels,) for block in known]:
            return {"width": width, "depth": depth, "size": size}
    raise TableError("has the blocks of no published EfficientNet-Lite, 0 to 4")


_BLOCK = re.compile(r"_blocks\.(\d+)\.")


def inflate(
    flat: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Weights of a network of images for one that looks back, as I3D inflates them.

    Args:
      flat: arrays of the network of images by path.
      shapes: of the other network, by the same paths.

    Returns:
      The arrays; a convolution that sees three frames has a third of the weights for each, so
      that a still picture gives what it gave.

    Raises:
      TableError: for an array that is missing or does not fit.
    """
    found = {}
    for path, shape in shapes.items():
        if path not in flat:
            raise TableError(f"lacks the array {path}")
        array = flat[path]
        times = shape[-2] // array.shape[-2] if array.ndim == 4 else 1
        if times > 1:
            array = np.concatenate([array / times] * times, axis=-2)
        if array.shape != shape:
            raise TableError(
                f"{path} is {list(array.shape)}, the model has {list(shape)}"
            )
        found[path] = np.asarray(array, np.float32)
    return found
