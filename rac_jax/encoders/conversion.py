"""Published PyTorch checkpoints to encoders, and encoders to PyTorch.

Encoders come without their classifiers, to start training from. Reading gives a model folder's
`config.json` and variables; who calls writes them.
"""

import os
import re
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax

from rac_jax.encoders import Encoder, inverted_tables, resnet50
from rac_jax.encoders.gmflow_tables import gmflow_arguments, gmflow_table
from rac_jax.encoders.layers import scaled
from rac_jax.encoders.published import (
    BACKBONES,
    LAYERS,
    SYMMETRIC_COLOURS,
    kylemin_layer,
)
from rac_jax.encoders.skeleton_graphs import spatial_partition
from rac_jax.encoders.skeleton_tables import (
    GRAPH,
    skeleton_arguments,
    skeleton_table,
)
from rac_jax.encoders.swin_tables import MMACTION, swin_naming, swin_table
from rac_jax.interop import torch_io
from rac_jax.interop.tables import Table, TableError, layer_entries
from rac_jax.interop.torch_io import ConversionError
from rac_jax.ops.skeletons import find_layout

# Before the names of VGGSound's network, and of mmaction's beside its classifier.
LEADS = {"resnet18": "audnet.", "video_swin": "backbone."}
KYLEMIN = "kylemin"
SKELETONS = ("ms_g3d", "st_gcn")  # encoders of skeletons


def read_backbone(
    kind: str, path: str | os.PathLike
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a published network.

    Args:
      kind: a key of `BACKBONES`. The S3D may be torchvision's or kylemin's, told apart by
        their names, and so may the Video Swin be mmaction's or torchvision's; the ResNet-18
        may lead its names with "audnet.", mmaction's Video Swin with "backbone.".
      path: of the file; its state dict may lie under "state_dict" or "model_state_dict".

    Returns:
      (config, variables) of a model folder that holds the encoder alone.

    Raises:
      ConversionError: if the file cannot be read or a tensor does not fit; it is named.
    """
    backbone = BACKBONES[kind]
    state = torch_io.read_state_dict(path, backbone.keys)
    naming, preprocessing = "", dict(backbone.preprocessing)
    if backbone.encoder == "s3d" and any(name.startswith("base.") for name in state):
        naming = KYLEMIN
        preprocessing |= SYMMETRIC_COLOURS
    if backbone.encoder == "video_swin":
        naming = swin_naming(state)
    if (lead := LEADS.get(backbone.encoder)) is not None:
        plain = {name.removeprefix(lead): value for name, value in state.items()}
        if len(plain) < len(state):
            raise ConversionError(f"{path}: holds names both with and without {lead!r}")
        state = plain
    arguments: dict[str, Any] = {"width": 1.0}
    if backbone.encoder == "gmflow":
        arguments |= gmflow_arguments(state)
    try:
        if backbone.encoder in SKELETONS:
            arguments |= skeleton_arguments(backbone.encoder, state)
        if backbone.encoder == "efficientnet_lite":
            arguments = inverted_tables.find_variant(state)
            preprocessing["size"] = arguments.pop("size")
            state = inverted_tables.fold_norms(state)
        network = Encoder(backbone.encoder).network(**arguments)
        flat = encoder_table(backbone.encoder, network, naming).to_jax(state)
    except TableError as error:
        raise ConversionError(f"{path}: {error}") from error
    config = {
        "name": kind,
        "family": backbone.encoder,
        "arguments": arguments,
        "preprocessing": preprocessing,
        "training": {"converted_from": [os.path.basename(path)]},
        "accuracy": {},
    }
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


def to_torch(
    encoder: str, network: nn.Module, variables: dict[str, Any]
) -> dict[str, Any]:
    """An encoder as PyTorch files.

    Args:
      encoder: a key of `rac_jax.encoders.ENCODERS`.
      network: the module.
      variables: its {"params", "batch_stats"}.

    Returns:
      {"model.pt": state dict} with the published names (torchvision's for S3D and R(2+1)D,
      mmaction's for Video Swin) and without a classifier; EfficientNet-Lite's convolutions have
      a bias each in place of a batch normalisation.

    Raises:
      TableError: if an array does not fit the network.
    """
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    state = encoder_table(encoder, network).to_torch(flat)
    if encoder == "st_gcn":
        state[GRAPH] = spatial_partition(find_layout(network.layout))
    return {"model.pt": state}


def encoder_table(encoder: str, network: nn.Module, naming: str = "") -> Table:
    """The table of an encoder; its classifier is checked and dropped, if there is one.

    Args:
      encoder: a key of `rac_jax.encoders.ENCODERS`.
      network: the module.
      naming: "kylemin" for his names of an S3D's layers, "torchvision" for its of a Video
        Swin's; empty for torchvision's and mmaction's.

    Returns:
      The table.
    """
    shapes = array_shapes(encoder, network)
    if encoder == "video_swin":
        return swin_table(shapes, naming or MMACTION)
    if encoder == "efficientnet_lite":
        return inverted_tables.efficientnet_table(shapes)
    if encoder == "strided_inflated":
        return inverted_tables.entries_table(shapes)
    if encoder == "gmflow":
        return gmflow_table(shapes)
    if encoder in SKELETONS:
        return skeleton_table(encoder, shapes, network.layout)
    layer_name = kylemin_layer if naming == KYLEMIN else LAYERS[encoder]
    width = scaled(512, network.width)
    taps, classifier = (), "fc"
    if encoder == "i3d":
        width = scaled(1024, network.width)
        taps, classifier = (1, 1, 1), "logits.conv3d"
    if encoder == "s3d":
        # What goes into the classifier are the four branches of the last block together.
        last = r"params/stage4/mixed_5c/branch\d(/temporal)?/norm/scale"
        width = sum(
            shape[0] for path, shape in shapes.items() if re.fullmatch(last, path)
        )
        taps = (1, 1, 1)
        classifier = "fc.0" if naming == KYLEMIN else "classifier.1"
    unused: dict[str, tuple[int | None, ...]] = {}
    if encoder == "resnet50":
        # What follows the stages that are asked for.
        whole = array_shapes(encoder, network.clone(stages=len(resnet50.BLOCKS)))
        width = scaled(resnet50.PLANES[-1], network.width) * resnet50.EXPANSION
        more = {path: shape for path, shape in whole.items() if path not in shapes}
        for entry in layer_entries(more, layer_name):
            unused[entry.name] = entry.torch_shape
        unused |= dict.fromkeys(Table(layer_entries(more, layer_name)).counters(), ())
    unused |= {
        f"{classifier}.weight": (None, width, *taps),
        f"{classifier}.bias": (None,),
    }
    return Table(layer_entries(shapes, layer_name), unused=unused, optional=True)


def array_shapes(encoder: str, network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of an encoder's arrays by path."""
    inputs = Encoder(encoder).example_inputs(network)
    nested = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    flat = flax.traverse_util.flatten_dict(dict(nested), sep="/")
    return {path: leaf.shape for path, leaf in flat.items()}
