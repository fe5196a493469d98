"""What GMFlow's and UniMatch's authors call the arrays of GMFlow: both have the same names."""

import re
from collections.abc import Mapping
from typing import Any

from rac_jax.interop.tables import NORM_NAMES, Entry, Table

REFINEMENTS = 6  # of the released weights that have them: no tensor says how many

ATTENTIONS = {"self": "self_attn", "cross": "cross_attn_ffn"}
# Inside an attention, ours to theirs.
PARTS = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "merge": "merge",
    "norm1": "norm1",
    "dense1": "mlp.0",
    "dense2": "mlp.2",
    "norm2": "norm2",
}
UPSAMPLER = {"conv1": "0", "conv2": "2"}
REFINEMENT = {
    "project": "refine_proj",
    "correlation1": "refine.encoder.convc1",
    "correlation2": "refine.encoder.convc2",
    "flow1": "refine.encoder.convf1",
    "flow2": "refine.encoder.convf2",
    "motion": "refine.encoder.conv",
    "change1": "refine.flow_head.conv1",
    "change2": "refine.flow_head.conv2",
}
GATES = {"update": "z", "reset": "r", "new": "q"}


def gmflow_arguments(state: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the published networks a state dict is of: arguments of `GMFlow`."""
    scales = 2 if "backbone.trident_conv.weight" in state else 1
    refined = any(name.startswith("refine.") for name in state)
    return {"scales": scales, "refinements": REFINEMENTS if refined else 0}


def gmflow_name(inner: str) -> str:
    """The published name of an array, such as "transformer/block0_self/query/kernel"."""
    *parts, leaf = inner.split("/")
    weight = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
    # A convolution with a bias has its kernel one level down.
    group, *place = [part for part in parts if part != "conv"]
    if group == "backbone":
        return f"{_backbone_layer(place)}.{weight}"
    if group == "transformer":
        number, kind = re.fullmatch(r"block(\d+)_(self|cross)", place[0]).groups()
        lead = f"transformer.layers.{number}.{ATTENTIONS[kind]}"
        return f"{lead}.{PARTS[place[1]]}.{weight}"
    if group == "propagation":
        return f"feature_flow_attn.{PARTS[place[0]]}.{weight}"
    if group == "upsampler":
        return f"upsampler.{UPSAMPLER[place[0]]}.{weight}"
    if place[0] == "scores":
        return f"refine.mask.{UPSAMPLER[place[1]]}.{weight}"
    if place[0] in REFINEMENT:
        return f"{REFINEMENT[place[0]]}.{weight}"
    gate, number = re.fullmatch(r"(update|reset|new)(\d)", place[0]).groups()
    return f"refine.gru.conv{GATES[gate]}{number}.{weight}"


def _backbone_layer(place: list[str]) -> str:
    """The name of a layer of the features, ("layer1_block0", "conv1") or ("conv2",)."""
    if len(place) == 1:
        own = "trident_conv" if place[0] == "trident" else place[0]
        return f"backbone.{own}"
    lead = "backbone." + place[0].replace("_block", ".")
    return f"{lead}.downsample.0" if place[1] == "downsample" else f"{lead}.{place[1]}"


def gmflow_table(
    shapes: Mapping[str, tuple[int, ...]], group: str = "", lead: str = ""
) -> Table:
    """The table of a GMFlow.

    Args:
      shapes: of a network's arrays by path.
      group: where in the network ("params/flow/" without "params/"); "" for all of it.
      lead: goes before every published name.

    Returns:
      The table; nothing in the published files is left over.
    """
    entries = []
    for path, shape in shapes.items():
        inner = path.removeprefix("params/")
        if inner.startswith(group):
            name = lead + gmflow_name(inner.removeprefix(group))
            entries.append(Entry(path, name, shape))
    return Table(tuple(entries))
