"""TA2Net's released layout to a model folder, and back.

No weights were published; who has trained the authors' modules has these names. Their encoders saw
pictures of flow, so the model does, too.
"""

import os
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import array_shapes
from rac_jax.encoders import resnet50
from rac_jax.encoders.conversion import encoder_table
from rac_jax.encoders.layers import scaled
from rac_jax.interop import torch_io
from rac_jax.interop.attention import join_attention, split_attention
from rac_jax.interop.tables import NORM_NAMES, Entry, Table, TableError
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.ta2net import FAMILY
from rac_jax.models.ta2net.kinematics import FLOWS
from rac_jax.models.ta2net.network import TA2Net
from rac_jax.models.transrac.conversion import (
    LAYERS,
    POSITIONS,
    UNUSED,
    check_positions,
    positions,
)

LEAD = "module."  # of weights that were saved from several devices
DECODER = "sim_decoder."
NETS = {
    "image_encoder": "video_net",
    "motion_encoder": "flow_net",
    "inflection_encoder": "d2f_net",
}
OTHERS = {
    "map/conv": "disent.activation_head",
    "map/norm": "disent.bn_head",
} | {
    f"{stream}_aggregation/{part}": f"{name}.{part}_conv"
    for stream, name in (("motion", "v2f"), ("inflection", "v2df"))
    for part in ("query", "key", "value")
}


def _layer_name(layer: str) -> str:
    """The released name of a layer by its path, but for those of the ResNets."""
    net, _, inner = layer.partition("/")
    if net in NETS:
        kind = {"projection/conv": "conv_256", "projection/norm": "bn_256"}[inner]
        return f"{NETS[net]}.{kind}"
    if layer in OTHERS:
        return OTHERS[layer]
    return DECODER + LAYERS[layer].replace("FC.", "cls.")


def ta2net_table(network: TA2Net) -> Table:
    """The table of the release's names without "module.", attention split in three."""
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    encoder = encoder_table("resnet50", resnet50.ResNet50(network.width))
    entries: list[Entry] = []
    unused: dict[str, tuple[int | None, ...]] = {
        DECODER + name: shape for name, shape in UNUSED.items()
    }
    for ours, theirs in NETS.items():
        for entry in encoder.entries:
            kind, _, inner = entry.path.partition("/")
            name = entry.name
            for old, new in (("conv1.", "firstconv."), ("bn1.", "firstbn.")):
                if name.startswith(old):
                    name = name.replace(old, new, 1)
            path = f"{kind}/{ours}/resnet50/{inner}"
            entries.append(Entry(path, f"{theirs}.{name}", shapes[path]))
        for name, shape in encoder.unused.items():
            if not name.startswith("fc."):
                unused[f"{theirs}.{name}"] = shape
    for path, shape in shapes.items():
        if "/resnet50/" in path:
            continue
        layer, _, leaf = path.partition("/")[2].rpartition("/")
        weight = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
        entries.append(Entry(path, f"{_layer_name(layer)}.{weight}", shape))
    return Table(tuple(entries), unused, optional=True)


def arrays_of(
    network: TA2Net, state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays by path of a state dict of the release's names.

    Raises:
      TableError: naming the first tensor that is missing, left over or misshapen.
    """
    tensors = {name.removeprefix(LEAD): value for name, value in state.items()}
    check_positions(tensors.pop(DECODER + POSITIONS, None), network.frames)
    return ta2net_table(network).to_jax(split_attention(tensors))


def config_of() -> dict[str, Any]:
    """The `config.json` of the release."""
    return {
        "name": "ta2net",
        "family": FAMILY.name,
        "arguments": {"released": True, "pictures": True},
        "preprocessing": {"size": 112, "interpolation": "bilinear"},
        "accuracy": {},
    }


def read_torch(path: str | os.PathLike) -> tuple[dict[str, Any], Variables]:
    """Reads a file of the released layout.

    Args:
      path: of the file; the state dict may lie under "state_dict".

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    state = torch_io.read_state_dict(path)
    config = config_of()
    network = FAMILY.network(**config["arguments"])
    try:
        flat = arrays_of(network, state)
    except ValueError as error:
        raise ConversionError(f"{path}: {error}") from error
    config["training"] = {"converted_from": [os.path.basename(os.fspath(path))]}
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


def to_torch(network: TA2Net, variables: Variables) -> dict[str, Any]:
    """A model as {"model.pt": state dict} with the release's names.

    Raises:
      TableError: if an array does not fit, or the network has parts that the release has not.
    """
    plain = network.encoder == "resnet50" and network.pictures
    plain = plain and network.flow in FLOWS and network.places == 3
    ours = (network.beside, network.kept, network.centred, network.squeezed)
    plain = plain and not any(ours)
    if not plain or not network.released or not network.aggregated:
        raise TableError("only the released network has a PyTorch form")
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    tensors = join_attention(ta2net_table(network).to_torch(flat))
    wide = scaled(8 * resnet50.PLANES[0], network.width)
    tensors[DECODER + POSITIONS] = positions(network.frames, wide)
    return {"model.pt": tensors}
