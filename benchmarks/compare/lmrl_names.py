"""What the PyTorch reference of LMRL calls our arrays; there is no public file to take names from."""

import re
from collections.abc import Mapping

import numpy as np

from rac_jax.counting.programs import array_shapes
from rac_jax.encoders.swin_tables import swin_table
from rac_jax.interop.attention import split_attention
from rac_jax.interop.tables import NORM_NAMES, Entry, Table
from rac_jax.models.lmrl import FAMILY
from rac_jax.models.lmrl.network import LMRL

SWIN = "encoder/video_swin/"
LAYER = "mixer.trans_encoder.layers.0"
# Fixed positions, which ours works out.
POSITIONS = re.compile(r"(mixer\.pos_encoder|period\.scales\.\d+\.places)\.pe")
LAYERS = {
    "neck/conv": "embed.across",
    "neck/norm": "embed.normal",
    "period_maps/conv1": "period.lift",
    "period_maps/conv2": "period.spread",
    "foreground/enter": "local.enter",
    "foreground/output": "local.judge",
    "integration/period": "joint.of_period",
    "integration/local": "joint.of_place",
    "integration/norm": "joint.normal",
    "predictor/norm": "mixer.trans_encoder.norm",
    "predictor/dense1": "reader.layers.0",
    "predictor/dense1_norm": "reader.layers.1",
    "predictor/dense2": "reader.layers.4",
    "predictor/output": "reader.layers.7",
}
# Of a transformer layer, with its attention's tensors split.
TRANSFORMER = {
    "attention/query": "self_attn.query",
    "attention/key": "self_attn.key",
    "attention/value": "self_attn.value",
    "attention/out": "self_attn.out_proj",
    "norm1": "norm1",
    "norm2": "norm2",
    "dense1": "linear1",
    "dense2": "linear2",
}


def layer_name(layer: str) -> str:
    """The reference's name of one of our layers, such as "period_maps/scale1/weights"."""
    if inner := re.fullmatch(r"predictor/transformer/(.+)", layer):
        return f"{LAYER}.{TRANSFORMER[inner[1]]}"
    if inner := re.fullmatch(r"period_maps/scale(\d+)/(.+)", layer):
        lead = f"period.scales.{int(inner[1]) - 1}"
        ends = {"projection": "enter", "weights": "leave"}
        own = ends.get(inner[2])
        if own is None:
            own = f"mix.{TRANSFORMER[inner[2].removeprefix('attention/')]}"
        return f"{lead}.{own}"
    if inner := re.fullmatch(r"foreground/(dilated|dense)(\d+)", layer):
        own = {"dilated": "wide", "dense": "point"}[inner[1]]
        return f"local.blocks.{inner[2]}.{own}"
    return LAYERS[layer]


def lmrl_table(network: LMRL) -> Table:
    """The table of the reference's names."""
    shapes = array_shapes(network, FAMILY.example_inputs(network))
    swin = swin_table(shapes, group=SWIN, lead="embed.backbone.")
    entries = list(swin.entries)
    for path, shape in shapes.items():
        _, _, inner = path.partition("/")
        if inner.startswith(SWIN):
            continue
        layer, _, leaf = inner.rpartition("/")
        if layer == "period_maps/similarity":
            name = "period.similar.form"
        else:
            weight = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
            name = f"{layer_name(layer)}.{weight}"
        entries.append(Entry(path, name, shape))
    return Table(tuple(entries), dict(swin.unused), optional=True)


def arrays_of(network: LMRL, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by path of the reference's state dict.

    Raises:
      TableError: naming the first tensor that is missing, left over or misshapen.
    """
    tensors = {n: tensor for n, tensor in state.items() if not POSITIONS.fullmatch(n)}
    return lmrl_table(network).to_jax(split_attention(tensors))
