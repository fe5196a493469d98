"""SI-EN's public weights to model folders, EfficientNet-Lite's and BlazePose's as its start.

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
from rac_jax.data import blazepose
from rac_jax.encoders import strided_blazepose
from rac_jax.encoders.blazepose_tables import read_constants
from rac_jax.encoders.conversion import read_backbone
from rac_jax.encoders.inverted_tables import entries_table, folded, inflate
from rac_jax.interop import tflite_io, torch_io
from rac_jax.interop.tables import Table, TableError, dense_entries, layer_entries
from rac_jax.interop.torch_io import ConversionError
from rac_jax.models.sien import (
    BLAZEPOSE,
    BLAZEPOSE_ARGUMENTS,
    FAMILY,
    RELEASED,
    RELEASES,
)
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
    wanted = _encoder_shapes(network)
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    found = {_grouped(path): value for path, value in inflate(flat, wanted).items()}
    colours = {name: lite["preprocessing"][name] for name in ("mean", "std")}
    preprocessing = RELEASED | {"colour": "rgb"} | colours
    return _folder("sien-imagenet", arguments, preprocessing, path, found)


def read_blazepose(
    place: str | os.PathLike | None,
) -> tuple[dict[str, Any], Variables]:
    """Reads the landmark network of MediaPipe and inflates its last 1x1 convolutions.

    Args:
      place: of its wheel, as `blazepose.load_networks` takes it.

    Returns:
      (config, variables) of a model folder.

    Raises:
      ConversionError: if it is not there, or lacks an array; it is named.
      ModuleNotFoundError: without the extra `pose`.
    """
    try:
        content = blazepose.model_file(place, blazepose.LANDMARKER)
        flat = read_constants(tflite_io.read_constants(content))
        network = FAMILY.network(**BLAZEPOSE_ARGUMENTS)
        shapes = _encoder_shapes(network)
        found = inflate(flat, shapes)
    except ValueError as error:
        raise ConversionError(str(error)) from error
    found = {_grouped(path): value for path, value in found.items()}
    preprocessing = RELEASED | {"colour": "rgb"}
    name = os.path.basename(blazepose.LANDMARKER)
    return _folder(BLAZEPOSE, BLAZEPOSE_ARGUMENTS, preprocessing, name, found)


def _encoder_shapes(network: SIEN) -> dict[str, tuple[int, ...]]:
    """Shapes of the encoder's arrays, by their paths in an encoder that stands alone."""
    lead = f"params/{GROUP}"
    return {
        "params/" + path.removeprefix(lead): shape
        for path, shape in array_shapes(network, FAMILY.example_inputs(network)).items()
        if path.startswith(lead)
    }


def _grouped(path: str) -> str:
    """The path in the whole network of an array of the encoder alone."""
    return f"params/{GROUP}" + path.removeprefix("params/")


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

    Normalisations are folded into the convolutions, as they are in the released files.

    Raises:
      TableError: if an array does not fit the network.
    """
    network = network.clone(norm=False)
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    if network.kind == strided_blazepose.KIND:
        # Nobody has published it in PyTorch: our own names.
        entries = layer_entries(shapes, ".".join, GROUP)
    else:
        entries = entries_table(shapes, GROUP).entries
    for head, field in HEADS.items():
        if getattr(network, field):
            entries += dense_entries(shapes, head, head)
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    return {"model.pt": Table(entries).to_torch(folded(flat))}
