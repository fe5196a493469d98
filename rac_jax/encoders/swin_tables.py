"""What mmaction and torchvision call the arrays of a Video Swin."""

import re
from collections.abc import Mapping
from typing import Any

from rac_jax.interop.tables import NORM_NAMES, Entry, Table

MMACTION, TORCHVISION = "mmaction", "torchvision"
# Inside a block, ours to theirs.
LAYERS = {
    MMACTION: {
        "norm1": "norm1",
        "attention/qkv": "attn.qkv",
        "attention/out": "attn.proj",
        "norm2": "norm2",
        "dense1": "mlp.fc1",
        "dense2": "mlp.fc2",
    }
}
LAYERS[TORCHVISION] = LAYERS[MMACTION] | {"dense1": "mlp.0", "dense2": "mlp.3"}
BIAS_TABLE, INDEX = "relative_position_bias_table", "relative_position_index"
CLASSIFIERS = {MMACTION: "cls_head.fc_cls", TORCHVISION: "head"}


def swin_naming(state: Mapping[str, Any]) -> str:
    """Whose names a state dict has."""
    theirs = any(name.startswith("features.") for name in state)
    return TORCHVISION if theirs else MMACTION


def swin_name(inner: str, naming: str = MMACTION) -> str:
    """The published name of an array, such as "stage1_block0/attention/qkv/kernel"."""
    *parts, leaf = inner.split("/")
    weight = "weight" if leaf == "kernel" else NORM_NAMES.get(leaf, leaf)
    if parts[0] in ("patches", "patches_norm"):
        return f"patch_embed.{'norm' if 'norm' in parts[0] else 'proj'}.{weight}"
    if parts[0] == "norm":
        return f"norm.{weight}"
    stage, kind, place = re.fullmatch(
        r"stage(\d)_(merge|block)(\d*)", parts[0]
    ).groups()
    index = int(stage) - 1
    if kind == "merge":
        own = f"layers.{index}.downsample"
        own = own if naming == MMACTION else f"features.{2 * index + 1}"
        return f"{own}.{parts[1]}.{weight}"
    lead = f"layers.{index}.blocks.{place}"
    lead = lead if naming == MMACTION else f"features.{2 * index}.{place}"
    if leaf == "bias_table":
        return f"{lead}.attn.{BIAS_TABLE}"
    return f"{lead}.{LAYERS[naming]['/'.join(parts[1:])]}.{weight}"


def swin_table(
    shapes: Mapping[str, tuple[int, ...]],
    naming: str = MMACTION,
    group: str = "",
    lead: str = "",
) -> Table:
    """The table of a Video Swin; its classifier and its indices are checked and dropped.

    Args:
      shapes: of a network's arrays by path.
      naming: whose names.
      group: where in the network ("params/encoder/video_swin/" without "params/"); "" for all.
      lead: goes before every published name.
    """
    entries, unused = [], {}
    for path, shape in shapes.items():
        inner = path.removeprefix("params/")
        if not inner.startswith(group):
            continue
        name = lead + swin_name(inner.removeprefix(group), naming)
        entries.append(Entry(path, name, shape))
        if name.endswith(BIAS_TABLE):
            # For every pair of a whole window's places.
            unused[name.replace(BIAS_TABLE, INDEX)] = (None, None)
    if not group:
        # Of an encoder alone; in a larger network there is no classifier.
        unused |= {
            f"{CLASSIFIERS[naming]}.weight": (None, *shapes["params/norm/scale"]),
            f"{CLASSIFIERS[naming]}.bias": (None,),
        }
    return Table(tuple(entries), unused, optional=True)
