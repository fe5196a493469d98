"""TransRAC's released weights to a model folder, and back."""

import os
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import array_shapes
from rac_jax.encoders.swin_tables import swin_table
from rac_jax.encoders.transformer import sinusoids
from rac_jax.interop import torch_io
from rac_jax.interop.attention import join_attention, split_attention
from rac_jax.interop.tables import NORM_NAMES, Entry, Table, TableError
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.transrac import FAMILY
from rac_jax.models.transrac.network import TransRAC

LEAD = "module."  # of weights that were saved from several devices
SWIN = "encoder/video_swin/"
POSITIONS = "transEncoder.pos_encoder.pe"
LAYER = "transEncoder.trans_encoder.layers.0"
# Ours to theirs; a batch normalisation's arrays have names of their own.
LAYERS = {
    "neck/conv": "conv3D",
    "neck/norm": "bn1",
    "similarity/query": "sims.linear_q",
    "similarity/key": "sims.linear_k",
    "rows/conv": "conv3x3",
    "rows/norm": "bn2",
    "rows/projection": "input_projection",
    "rows/projection_norm": "ln1",
    "predictor/transformer/attention/query": f"{LAYER}.self_attn.query",
    "predictor/transformer/attention/key": f"{LAYER}.self_attn.key",
    "predictor/transformer/attention/value": f"{LAYER}.self_attn.value",
    "predictor/transformer/attention/out": f"{LAYER}.self_attn.out_proj",
    "predictor/transformer/norm1": f"{LAYER}.norm1",
    "predictor/transformer/norm2": f"{LAYER}.norm2",
    "predictor/transformer/dense1": f"{LAYER}.linear1",
    "predictor/transformer/dense2": f"{LAYER}.linear2",
    "predictor/norm": "transEncoder.trans_encoder.norm",
    "predictor/dense1": "FC.layers.0",
    "predictor/dense1_norm": "FC.layers.1",
    "predictor/dense2": "FC.layers.4",
    "predictor/output": "FC.layers.7",
}
# The values of the attention are in the file and never used.
UNUSED = {"sims.linear_v.weight": (None, None), "sims.linear_v.bias": (None,)}


def transrac_table(network: TransRAC) -> Table:
    """The table of the release's names without "module.", attention split in three."""
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    swin = swin_table(shapes, group=SWIN, lead="backbone.")
    entries = list(swin.entries)
    for path, shape in shapes.items():
        _, _, inner = path.partition("/")
        if inner.startswith(SWIN):
            continue
        layer, _, leaf = inner.rpartition("/")
        weight = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
        entries.append(Entry(path, f"{LAYERS[layer]}.{weight}", shape))
    return Table(tuple(entries), dict(swin.unused) | UNUSED, optional=True)


def config_of() -> dict[str, Any]:
    """The `config.json` of the release."""
    return {
        "name": "transrac",
        "family": FAMILY.name,
        "arguments": {"released": True},
        "preprocessing": {"size": 224, "interpolation": "bilinear"},
        "protocol": "released",
        "accuracy": {},
    }


def read_torch(path: str | os.PathLike) -> tuple[dict[str, Any], Variables]:
    """Reads the released file.

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


def arrays_of(
    network: TransRAC, state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays by path of a state dict of the release.

    Raises:
      TableError: naming the first tensor that is missing, left over or misshapen.
    """
    tensors = {name.removeprefix(LEAD): value for name, value in state.items()}
    check_positions(tensors.pop(POSITIONS, None), network.frames)
    return transrac_table(network).to_jax(split_attention(tensors))


def positions(frames: int, wide: int) -> np.ndarray:
    """The table of positions as the file has it, [N, 1, C]."""
    return sinusoids(frames, wide)[:, None]


def check_positions(known: np.ndarray | None, frames: int) -> None:
    """Checks a file's table of positions; None where it has none.

    Raises:
      TableError: if they are others than ours.
    """
    if known is None:
        return
    own = positions(frames, known.shape[-1])
    if known.shape != own.shape or not np.allclose(known, own, atol=1e-4):
        raise TableError(f"{POSITIONS} holds other positions than the release's")


def to_torch(network: TransRAC, variables: Variables) -> dict[str, Any]:
    """A model as {"model.pt": state dict} with the release's names.

    Raises:
      TableError: if an array does not fit the network, or its encoder is no Video Swin.
    """
    if network.encoder != "video_swin":
        raise TableError(f"encoder: {network.encoder!r} has no PyTorch form")
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    tensors = join_attention(transrac_table(network).to_torch(flat))
    wide = tensors["ln1.weight"].shape[0]
    tensors[POSITIONS] = positions(network.frames, wide)
    return {"model.pt": {LEAD + name: value for name, value in tensors.items()}}
