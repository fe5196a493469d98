"""Networks of skeletons: parity on odd lengths, their public names, their graphs."""

import flax.traverse_util
import jax
import numpy as np
import pytest

from rac_jax.encoders import Encoder, skeleton_graphs
from rac_jax.encoders.conversion import encoder_table, read_backbone, to_torch
from rac_jax.interop.torch_io import ConversionError
from rac_jax.ops.skeletons import LAYOUTS, find_layout
from tests.encoders import layouts

pytestmark = pytest.mark.usefixtures("quick_compiling")
LIMIT = 1e-4
SOME = {
    "st_gcn": {
        "A": [3, 18, 18],
        "data_bn.running_mean": [54],
        "edge_importance.9": [3, 18, 18],
        "st_gcn_networks.4.residual.0.weight": [128, 64, 1, 1],
        "st_gcn_networks.9.tcn.2.weight": [256, 256, 9, 1],
        "fcn.weight": [400, 256, 1, 1],
    },
    "ms_g3d": {
        "data_bn.weight": [108],
        "gcn3d1.gcn3d.1.gcn3d.1.A_res": [720, 90],
        "gcn3d3.gcn3d.0.out_conv.weight": [384, 192, 1, 3, 1],
        "sgcn2.1.residual.bn.weight": [192],
        "sgcn3.2.branches.3.3.conv.weight": [64, 64, 3, 1],
        "tcn1.branches.4.4.num_batches_tracked": [],
        "fc.bias": [400],
    },
}
SIZES = {"st_gcn": 172, "ms_g3d": 810}
PUBLIC = {
    "st_gcn": "stgcn_kinetics_openpose18_400",
    "ms_g3d": "msg3d_kinetics_openpose18_400",
}


def reference(encoder, layout, width=1.0, people=2, **arguments):
    """The PyTorch network."""
    from benchmarks.torch_reference import skeletons

    found, joints = find_layout(layout), len(find_layout(layout).joints)
    if encoder == "st_gcn":
        graph = skeletons.partition(found.edges, joints, list(found.centre))
        wide = [*[(64, 1)] * 4, (128, 2), *[(128, 1)] * 2, (256, 2), *[(256, 1)] * 2]
        return skeletons.STGCN(graph, [(int(c * width), s) for c, s in wide])
    near = (skeletons.graph_hops(found.edges, joints) == 1).astype(float)
    widths = [int(channels * width) for channels in (96, 192, 384)]
    return skeletons.MSG3D(near, people=people, widths=widths, **arguments)


def ours(encoder, state, layout, **arguments):
    """(our network, its variables) of a state dict."""
    module = Encoder(encoder).network(layout=layout, **arguments)
    flat = encoder_table(encoder, module).to_jax(
        {name: tensor.numpy() for name, tensor in state.items()}
    )
    return module, flax.traverse_util.unflatten_dict(flat, sep="/")


CASES = {
    "st_gcn openpose": ("st_gcn", "openpose-18", {"width": 0.25}, {}),
    "st_gcn blazepose": ("st_gcn", "blazepose-33", {"width": 0.25}, {}),
    "ms_g3d openpose": ("ms_g3d", "openpose-18", {"width": 0.25}, {"people": 2}),
    "ms_g3d blazepose": (
        "ms_g3d",
        "blazepose-33",
        {"width": 0.25},
        {"people": 1, "scales": 5, "window_scales": 3},
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            marks=pytest.mark.slow
            if case in ("ms_g3d openpose", "st_gcn blazepose")
            else (),
        )
        for case in CASES
    ],
)
def test_parity(case):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.torch_reference.layers import randomise

    encoder, layout, width, arguments = CASES[case]
    torch.manual_seed(0)
    network = reference(encoder, layout, **width, **arguments)
    randomise(network)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        # What is learned of the graphs is not next to nothing.
        for name, parameter in network.named_parameters():
            if name.endswith("A_res") or name.startswith("edge_importance"):
                noise = 0.1 * rng.normal(size=parameter.shape)
                parameter += torch.from_numpy(noise.astype(np.float32))
    module, variables = ours(
        encoder, network.state_dict(), layout, **width, **arguments
    )
    # 11 frames: half of them are 6, half of those are 3.
    people = arguments.get("people", 2)
    poses = rng.normal(size=(2, people, 11, len(find_layout(layout).joints), 3))
    poses = poses.astype(np.float32)
    with torch.inference_mode():
        shown = torch.from_numpy(np.transpose(poses, (0, 4, 2, 3, 1)).copy())
        want = network(shown).numpy()
    got = jax.jit(module.apply)(variables, poses)
    assert got.frames.shape == want.shape == (2, 3, want.shape[2])
    error = np.linalg.norm(got.frames - want) / np.linalg.norm(want)
    assert error < LIMIT and want.std(1).mean() > 0.02
    np.testing.assert_allclose(got.features, got.frames.mean(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", SOME)
def test_public_names(encoder, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    network = reference(encoder, "openpose-18")
    found = layouts.layout(network.state_dict())
    assert SOME[encoder].items() <= found.items() and len(found) == SIZES[encoder]

    # As a file: read, and written again without its classifier.
    file = tmp_path / "weights.pt"
    torch.save(network.state_dict(), file)
    kind = {"st_gcn": "st-gcn", "ms_g3d": "ms-g3d"}[encoder]
    config, variables = read_backbone(kind, file)
    assert config["family"] == encoder
    assert config["arguments"]["layout"] == "openpose-18"
    module = Encoder(encoder).network(**config["arguments"])
    again = to_torch(encoder, module, variables)["model.pt"]
    left = {name for name in found if name not in again}
    assert {name.partition(".")[0] for name in left} <= {"fcn", "fc"}
    for name, array in again.items():
        np.testing.assert_array_equal(array, network.state_dict()[name].numpy())

    public = layouts.published()
    if public is None:
        pytest.skip("the public layouts are not at hand")
    assert public[PUBLIC[encoder]] == found


def test_another_skeleton_or_graph_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    state = reference("st_gcn", "openpose-18").state_dict()
    file = tmp_path / "weights.pt"
    for change, message in (
        ({"A": state["A"].flip(0)}, "A is another graph than that of openpose-18"),
        (
            {"data_bn.weight": torch.zeros(75)},
            r"data_bn.weight is \[75\], of no known skeleton",
        ),
    ):
        torch.save(state | change, file)
        with pytest.raises(ConversionError, match=message):
            read_backbone("st-gcn", file)


@pytest.mark.parametrize("name", LAYOUTS)
def test_graphs(name):
    layout = find_layout(name)
    near = skeleton_graphs.adjacency(layout)
    # Every joint is joined to the centre, and every edge is there once.
    hops = skeleton_graphs.hops_from(layout, layout.centre)
    assert (hops[list(layout.centre)] == 0).all() and hops.max() < 10
    assert near.sum() == 2 * len(layout.edges)
    partition = skeleton_graphs.spatial_partition(layout)
    np.testing.assert_allclose(partition.sum((0, 1)), 1, rtol=1e-6)
    # Left and right are alike.
    swapped = [
        layout.joints.index(
            joint.replace("left", "?").replace("right", "left").replace("?", "right")
        )
        for joint in layout.joints
    ]
    np.testing.assert_array_equal(partition, partition[:, swapped][:, :, swapped])
    scales = skeleton_graphs.scale_matrices(near, 4)
    # Each pair of joints is of one distance.
    off = ~np.eye(len(near), dtype=bool)
    assert ((scales > 0) & off).sum(0).max() == 1


def test_unknown_names_and_shapes():
    with pytest.raises(ValueError, match="layout: 'x' is not one of blazepose-33"):
        find_layout("x")
    module = Encoder("st_gcn").network()
    poses = np.zeros((1, 1, 4, 18, 3), np.float32)
    with pytest.raises(ValueError, match=r"poses is \[1, 1, 4, 18, 3\], must be"):
        jax.eval_shape(module.init, jax.random.key(0), poses)
