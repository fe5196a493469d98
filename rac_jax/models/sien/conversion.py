"""SI-EN's public weights to model folders, and EfficientNet-Lite's as its start.

The released files hold the backbone; their heads are for activities that are not ours to name.
So a folder made of them has first phases of the scheme "halves" that know nothing: it is to start
training from (`rac train --config.start.model=FOLDER`), not to count with.
"""

import os
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import array_shapes
from rac_jax.encoders.conversion import read_backbone
from rac_jax.encoders.inverted_tables import entries_table, inflate
from rac_jax.interop import torch_io
from rac_jax.interop.tables import Table, TableError, dense_entries
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.sien import FAMILY, RELEASED, RELEASES
from rac_jax.models.sien.network import SIEN

GROUP = "encoder/"
SCHEME, PHASES = "halves", 3
LITE = "efficientnet-lite-imagenet"
# Ours alone: the released files hold the backbone.
HEADS = {"phase_head": "phases", "activity_head": "activities"}


def read_released(
    kind: str, path: str | os.PathLike
) -> tuple[dict[str, Any], Variables]:
    """Reads a released backbone.

    Args:
      kind: of `RELEASES`.
      path: of the file; its state dict may lie under "state_dict".

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    state = torch_io.read_state_dict(path)
    network = FAMILY.network(**RELEASES[kind])
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    try:
        flat = entries_table(shapes, GROUP).to_jax(state)
    except TableError as error:
        raise ConversionError(f"{path}: {error}") from error
    return _folder(kind, RELEASES[kind], RELEASED, path, flat)


def read_efficientnet_lite(
    path: str | os.PathLike,
) -> tuple[dict[str, Any], Variables]:
    """Reads an EfficientNet-Lite of ImageNet and inflates it.

    Returns:
      (config, variables) of a model folder, with the width, the depth, the padding, the colours
      and the range of the file's network.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    lite, variables = read_backbone(LITE, path)
    arguments = {"kind": "efficientnet", "padding": "same"} | lite["arguments"]
    network = FAMILY.network(**arguments)
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    lead = f"params/{GROUP}"
    wanted = {
        "params/" + path.removeprefix(lead): shape
        for path, shape in shapes.items()
        if path.startswith(lead)
    }
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    found = {
        lead + path.removeprefix("params/"): value
        for path, value in inflate(flat, wanted).items()
    }
    colours = {name: lite["preprocessing"][name] for name in ("mean", "std")}
    preprocessing = RELEASED | {"colour": "rgb"} | colours
    return _folder("sien-imagenet", arguments, preprocessing, path, found)


def _folder(
    name: str,
    arguments: dict[str, Any],
    preprocessing: dict[str, Any],
    path: str | os.PathLike,
    encoder: dict[str, np.ndarray],
) -> tuple[dict[str, Any], Variables]:
    """The folder of an encoder; its phase head starts at zero, so that it says nothing."""
    config = {
        "name": name,
        "family": FAMILY.name,
        "arguments": arguments | {"phases": PHASES},
        "preprocessing": preprocessing,
        "scheme": SCHEME,
        "training": {"converted_from": [os.path.basename(os.fspath(path))]},
        "accuracy": {},
    }
    network = FAMILY.network(**config["arguments"])
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    heads = {
        place: np.zeros(shape, np.float32)
        for place, shape in shapes.items()
        if place not in encoder
    }
    return config, flax.traverse_util.unflatten_dict(encoder | heads, sep="/")


def to_torch(network: SIEN, variables: Variables) -> dict[str, Any]:
    """A model as {"model.pt": state dict}: the released names, and `phase_head`, `activity_head`.

    Raises:
      TableError: if an array does not fit the network.
    """
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    entries = entries_table(shapes, GROUP).entries
    for head, field in HEADS.items():
        if getattr(network, field):
            entries += dense_entries(shapes, head, head)
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    return {"model.pt": Table(entries).to_torch(flat)}
