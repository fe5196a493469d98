"""What ST-GCN's and MS-G3D's authors call the arrays of their networks."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rac_jax.encoders.ms_g3d import STAGES, WINDOWS
from rac_jax.encoders.skeleton_graphs import spatial_partition
from rac_jax.encoders.st_gcn import BLOCKS
from rac_jax.interop.tables import NORM_NAMES, Entry, Table, TableError
from rac_jax.ops.skeletons import LAYOUTS, find_layout

GRAPH = "A"  # ST-GCN's files hold the matrices of their graph
TOLERANCE = 1e-5  # of these matrices, against ours
# Layers of an ST-GCN's block, ours to theirs.
ST_GCN_LAYERS = {
    "spatial": "gcn.conv",
    "norm1": "tcn.0",
    "temporal": "tcn.2",
    "norm2": "tcn.3",
    "residual": "residual.0",
    "residual_norm": "residual.1",
}
# Of the last branch but one over time the second normalisation lies elsewhere: what is before it
# has no arrays.
MAXIMUM = 4


def skeleton_table(
    encoder: str, shapes: Mapping[str, tuple[int, ...]], layout: str
) -> Table:
    """The table of a network of skeletons.

    Args:
      encoder: "st_gcn" or "ms_g3d".
      shapes: of a network's arrays by path.
      layout: of its skeletons.
    """
    name_of = st_gcn_name if encoder == "st_gcn" else ms_g3d_name
    entries = tuple(
        Entry(path, name_of(path.partition("/")[2]), shape)
        for path, shape in shapes.items()
    )
    joints, classifier = len(find_layout(layout).joints), (None,)
    unused: dict[str, tuple[int | None, ...]]
    if encoder == "st_gcn":
        wide = shapes[f"params/block{len(BLOCKS) - 1}/norm2/scale"][0]
        unused = {GRAPH: (3, joints, joints), "fcn.weight": (None, wide, 1, 1)}
        unused["fcn.bias"] = classifier
    else:
        last = f"params/stage{len(STAGES) - 1}_window{WINDOWS[0]}/norm/scale"
        unused = {"fc.weight": (None, shapes[last][0]), "fc.bias": classifier}
    return Table(entries, unused, optional=True)


def st_gcn_name(inner: str) -> str:
    """The published name of an array of ST-GCN, such as "block3/temporal/conv/kernel"."""
    group, *place, leaf = inner.split("/")
    if group == "data_norm":
        return f"data_bn.{NORM_NAMES[leaf]}"
    number = group.removeprefix("block")
    if not place:
        # The importance of edges.
        return f"edge_importance.{number}"
    return f"st_gcn_networks.{number}.{ST_GCN_LAYERS[place[0]]}.{_leaf(leaf)}"


def ms_g3d_name(inner: str) -> str:
    """The published name of an array of MS-G3D, such as "stage1_window3/graph/bias"."""
    group, *place, leaf = inner.split("/")
    if group == "data_norm":
        return f"data_bn.{NORM_NAMES[leaf]}"
    stage, part = re.fullmatch(r"stage(\d)_(.+)", group).groups()
    number = int(stage) + 1
    if part == "graph":
        return f"sgcn{number}.0.{_graph_name(place, leaf)}"
    if part.startswith("window"):
        window = WINDOWS.index(int(part.removeprefix("window")))
        lead = f"gcn3d{number}.gcn3d.{window}"
        if place[:1] == ["graph"]:
            return f"{lead}.gcn3d.1.{_graph_name(place[1:], leaf)}"
        layer = "out_bn" if place else "out_conv"
        return f"{lead}.{layer}.{_leaf(leaf)}"
    order = int(part.removeprefix("time"))
    lead = f"tcn{number}" if order == 3 else f"sgcn{number}.{order}"
    if place[0].startswith("residual"):
        layer = "bn" if place[0].endswith("norm") else "conv"
        return f"{lead}.residual.{layer}.{_leaf(leaf)}"
    branch, layer = re.fullmatch(r"branch(\d)_(\w+)", place[0]).groups()
    second = "4" if int(branch) == MAXIMUM else "3.bn"
    names = {"reduce": "0", "norm1": "1", "time": "3.conv", "norm2": second}
    return f"{lead}.branches.{branch}.{names[layer]}.{_leaf(leaf)}"


def _graph_name(place: list[str], leaf: str) -> str:
    """Of a sum over joints: its correction, or the mixture behind it."""
    if not place:
        return "A_res"
    return f"mlp.layers.{0 if place[0] == 'mix' else 1}.{_leaf(leaf)}"


def _leaf(leaf: str) -> str:
    return "weight" if leaf == "kernel" else NORM_NAMES[leaf]


def skeleton_arguments(encoder: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Which network a state dict is of: arguments of `STGCN` or `MSG3D`.

    Raises:
      TableError: if the file is of another skeleton or another graph.
    """
    size = np.shape(state.get("data_bn.weight"))
    known = {len(layout.joints): name for name, layout in LAYOUTS.items()}
    if encoder == "st_gcn":
        joints = size[0] / 3 if size else 0
        if joints not in known:
            raise TableError(f"data_bn.weight is {list(size)}, of no known skeleton")
        name = known[joints]
        graph, ours = state.get(GRAPH), spatial_partition(find_layout(name))
        if graph is not None and not (
            np.shape(graph) == ours.shape and np.allclose(graph, ours, atol=TOLERANCE)
        ):
            raise TableError(f"{GRAPH} is another graph than that of {name}")
        return {"layout": name}
    correction = np.shape(state.get("sgcn1.0.A_res"))
    window = np.shape(state.get("gcn3d1.gcn3d.0.gcn3d.1.A_res"))
    if len(correction) != 2 or len(window) != 2 or correction[1] not in known:
        raise TableError(f"sgcn1.0.A_res is {list(correction)}, of no known skeleton")
    joints = correction[1]
    return {
        "layout": known[joints],
        "scales": correction[0] // joints,
        "window_scales": window[0] // window[1],
        "people": size[0] // (3 * joints) if size else 1,
    }
