"""RepNet's public weights to model folders: the PyTorch port's file, and TensorFlow's checkpoint.

Both of the authors' releases, told apart by their shapes. The port has the weights of May 2020.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import array_shapes
from rac_jax.interop import tensorflow_io, torch_io
from rac_jax.interop.attention import (
    QUERY_KEY_VALUE,
    join_attention,
    split_attention,
)
from rac_jax.interop.tables import NORM_NAMES, Entry, Table, TableError
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.repnet import FAMILY
from rac_jax.models.repnet.network import RepNet

# What tells the releases apart: how many classes there are.
RELEASES = {
    32: {"periods": 32, "first_period": 1, "positions": "number"},
    64: {"periods": 64, "first_period": 0, "positions": "vector"},
}
NAMES = {32: "repnet-2020", 64: "repnet-2024"}
BRANCHES = {
    "period_branch": "period_length_head",
    "periodicity_branch": "periodicity_head",
}
DENSE = {"dense1": "1", "dense2": "3", "output": "5"}
# Of a branch, ours to the port's; query, key and value are one tensor there.
TRANSFORMER = {
    "attention/out": "self_attn.out_proj",
    "norm1": "norm1",
    "norm2": "norm2",
    "dense1": "linear1",
    "dense2": "linear2",
}


def config_of(periods: int) -> dict[str, Any]:
    """The `config.json` of a release, by how many classes of periods it has.

    Raises:
      ValueError: if there is no such release.
    """
    if periods not in RELEASES:
        raise ValueError(
            f"has {periods} classes of periods, the releases have 32 and 64"
        )
    return {
        "name": NAMES[periods],
        "family": FAMILY.name,
        "arguments": RELEASES[periods] | {"width": 1.0},
        "preprocessing": {"size": 112, "resized_from": 224},
        "protocol": "released",
        "accuracy": {},
    }


def read_torch(path: str | os.PathLike) -> tuple[dict[str, Any], Variables]:
    """Reads the PyTorch port's state dict.

    Args:
      path: of the file; the state dict may lie under "state_dict".

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    state = torch_io.read_state_dict(path)
    last = state.get("period_length_head.5.weight")
    try:
        if last is None:
            raise TableError("lacks the tensor period_length_head.5.weight")
        config = config_of(len(last))
        network = FAMILY.network(**config["arguments"])
        flat = torch_table(network).to_jax(split_attention(state))
    except ValueError as error:
        raise ConversionError(f"{path}: {error}") from error
    return _folder(config, path, flat)


def read_tensorflow(path: str | os.PathLike) -> tuple[dict[str, Any], Variables]:
    """Reads TensorFlow's checkpoint, by its prefix (".../ckpt-88") or its folder.

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if TensorFlow is not installed, the checkpoint cannot be read, or a
        tensor does not fit; it is named.
    """
    arrays = tensorflow_io.read_checkpoint(path, "model/")
    try:
        last = arrays.get("fc_layers/2/bias")
        if last is None:
            raise TableError("lacks the tensor model/fc_layers/2/bias")
        config = config_of(len(last))
        network = FAMILY.network(**config["arguments"])
        flat = from_tensorflow(network, arrays)
    except ValueError as error:
        raise ConversionError(f"{os.fspath(path)}: {error}") from error
    return _folder(config, path, flat)


def _folder(
    config: dict[str, Any], path: str | os.PathLike, flat: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Variables]:
    training = {"converted_from": [os.path.basename(os.fspath(path))]}
    variables = flax.traverse_util.unflatten_dict(dict(flat), sep="/")
    return config | {"training": training}, variables


def to_torch(network: RepNet, variables: Variables) -> dict[str, Any]:
    """A model as {"model.pt": state dict} with the port's names.

    Raises:
      TableError: if an array does not fit the network.
    """
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    return {"model.pt": join_attention(torch_table(network).to_torch(flat))}


def shapes_of(network: RepNet) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's arrays by path."""
    return array_shapes(network, FAMILY.example_inputs(network))


def torch_table(network: RepNet) -> Table:
    """The table of the port's names, with the attention's tensors split."""
    return Table(
        tuple(
            Entry(path, torch_name(path), shape)
            for path, shape in shapes_of(network).items()
        )
    )


def torch_name(path: str) -> str:
    """The port's name of an array, such as "params/period_branch/dense1/kernel"."""
    _, group, *parts, leaf = path.split("/")
    if group in BRANCHES:
        return f"{BRANCHES[group]}.{_branch_name('/'.join(parts), leaf)}"
    weight = NORM_NAMES.get(leaf, "weight")
    if group in ("temporal", "temporal_norm"):
        name = "weight" if leaf == "kernel" else weight
        return f"temporal_conv.{int(group == 'temporal_norm')}.{name}"
    if group == "similarity":
        return f"tsm_conv.0.{'weight' if leaf == 'kernel' else leaf}"
    return f"encoder.{_encoder_name(parts, leaf)}"


def _branch_name(inner: str, leaf: str) -> str:
    if leaf == "positions":
        return "0.pos_encoding"
    name = {"kernel": "weight", "scale": "weight"}.get(leaf, leaf)
    if inner == "projection":
        return f"0.input_projection.{name}"
    if inner.startswith("transformer/"):
        layer = inner.removeprefix("transformer/")
        part = layer.removeprefix("attention/")
        if part in QUERY_KEY_VALUE:
            return f"0.transformer_layer.self_attn.{part}.{name}"
        return f"0.transformer_layer.{TRANSFORMER[layer]}.{name}"
    return f"{DENSE[inner]}.{name}"


def _encoder_name(parts: list[str], leaf: str) -> str:
    place, *layer = parts
    name = "weight" if leaf == "kernel" else leaf
    if place == "stem":
        return f"stem.conv.{name}"
    stage, block = re.fullmatch(r"stage(\d)_block(\d)", place).groups()
    lead = f"stages.{int(stage) - 1}.blocks.{block}"
    # What is given is normalised first, so the port's numbers of norms are one ahead.
    if layer == ["norm"]:
        return f"{lead}.norm1.{NORM_NAMES[leaf]}"
    if layer[-1] == "norm":
        return f"{lead}.norm{int(layer[0][-1]) + 1}.{NORM_NAMES[leaf]}"
    if layer[0] == "shortcut":
        return f"{lead}.downsample.conv.{name}"
    return f"{lead}.{layer[0]}.{name}"


# TensorFlow's names, below "model/", of the parts after the encoder.
_TF_BRANCHES = {
    "period_branch": ("", "fc_layers"),
    "periodicity_branch": ("2", "within_period_fc_layers"),
}
_TF_TRANSFORMER = {
    "attention/query": "mha/wq",
    "attention/key": "mha/wk",
    "attention/value": "mha/wv",
    "attention/out": "mha/dense",
    "norm1": "layernorm1",
    "norm2": "layernorm2",
    "dense1": "ffn/layer-0",
    "dense2": "ffn/layer-1",
}
_TF_NORM = {
    "scale": "gamma",
    "bias": "beta",
    "mean": "moving_mean",
    "var": "moving_variance",
}
_TF_DENSE = {"dense1": 0, "dense2": 1, "output": 2}


def tensorflow_name(path: str, place: Callable[[str], int]) -> str:
    """TensorFlow's name of an array.

    Args:
      path: ours.
      place: of an encoder's layer ("stage1_block0/conv1/conv") among those with weights.
    """
    _, group, *parts, leaf = path.split("/")
    if group in _TF_BRANCHES:
        suffix, dense = _TF_BRANCHES[group]
        if leaf == "positions":
            return f"pos_encoding{suffix}"
        if parts == ["projection"]:
            return f"input_projection{suffix}/{leaf}"
        if parts[0] == "transformer":
            layer = "/".join(parts[1:])
            own = _TF_NORM[leaf] if layer.startswith("norm") else leaf
            return f"transformer_layers{suffix}/0/{_TF_TRANSFORMER[layer]}/{own}"
        return f"{dense}/{_TF_DENSE[parts[0]]}/{leaf}"
    if group == "temporal":
        return f"temporal_conv_layers/0/{leaf}"
    if group == "temporal_norm":
        return f"temporal_bn_layers/0/{_TF_NORM[leaf]}"
    if group == "similarity":
        return f"conv_3x3_layer/{leaf}"
    layer = "/".join(parts)
    normalises = parts[-1] == "norm"
    # A bias stands beside the convolution in our tree.
    if leaf == "bias" and not normalises:
        layer += "/conv"
    return f"{place(layer)}/{_TF_NORM[leaf] if normalises else leaf}"


def weighted_layers(network: RepNet) -> list[str]:
    """The encoder's layers that have weights, in the order in which Keras builds them."""
    layers = ["stem/conv"]
    for stage, number in enumerate(network.blocks, start=1):
        for block in range(number):
            lead = f"stage{stage}_block{block}"
            parts = ["norm", "conv1/conv", "conv1/norm", "conv2/conv", "conv2/norm"]
            # The shortcut is made when it is added, just before the last convolution.
            parts += ["shortcut/conv"] if block == 0 else []
            layers += [f"{lead}/{part}" for part in [*parts, "conv3/conv"]]
    return layers


def from_tensorflow(
    network: RepNet, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Arrays by path of a checkpoint's arrays by their names below "model/".

    A layer of the encoder is named "base_model/layer-N" by its place among all layers, or
    "base_model/layer_with_weights-N" among those with weights; which of the two is up to the
    writer, so the first fill the places that the second leave free, in order.

    Raises:
      TableError: naming the first tensor that is missing, left over or misshapen.
    """
    layers = weighted_layers(network)
    found, plain = {}, set()
    for name in arrays:
        alias = re.match(r"base_model/(layer|layer_with_weights)-(\d+)/", name)
        if alias is None:
            continue
        if alias[1] == "layer":
            plain.add(int(alias[2]))
        elif int(alias[2]) < len(layers):
            place = int(alias[2])
            found[layers[place]] = f"base_model/layer_with_weights-{place}"
    free = [layer for layer in layers if layer not in found]
    if len(free) != len(plain):
        raise TableError(
            f"has {len(found) + len(plain)} layers with weights in its encoder, the model has "
            f"{len(layers)}"
        )
    for layer, number in zip(free, sorted(plain), strict=True):
        found[layer] = f"base_model/layer-{number}"

    flat, used = {}, set()
    for path, shape in shapes_of(network).items():
        name = tensorflow_name(path, found.__getitem__)
        if name not in arrays:
            raise TableError(f"lacks the tensor model/{name}")
        if arrays[name].shape != shape:
            raise TableError(
                f"model/{name} is {list(arrays[name].shape)}, the model has {list(shape)}"
            )
        used.add(name)
        flat[path] = np.asarray(arrays[name], np.float32)
    if left := set(arrays) - used:
        raise TableError(
            f"holds the tensor model/{min(left)}, which the model does not have"
        )
    return flat
