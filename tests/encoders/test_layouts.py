"""The reference networks have the public names and shapes, and the encoders' tables cover them."""

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import i3d, r2plus1d, s3d
from rac_jax.encoders import Encoder
from rac_jax.encoders.conversion import encoder_table
from tests.encoders import layouts

# Some of every kind, so that the test says something where the whole lists are not at hand.
SOME_S3D = {
    "features.0.0.0.weight": [64, 3, 1, 7, 7],
    "features.0.1.0.weight": [64, 64, 7, 1, 1],
    "features.2.1.running_var": [64],
    "features.5.branch1.1.0.0.weight": [128, 96, 1, 3, 3],
    "features.12.branch3.1.0.weight": [128, 528, 1, 1, 1],
    "features.15.branch2.1.1.1.num_batches_tracked": [],
    "classifier.1.weight": [400, 1024, 1, 1, 1],
    "classifier.1.bias": [400],
}
SOME_KYLEMIN = {
    "base.0.conv_s.weight": [64, 3, 1, 7, 7],
    "base.0.bn_t.running_mean": [64],
    "base.2.bn.running_var": [64],
    "base.5.branch0.0.conv.weight": [64, 192, 1, 1, 1],
    "base.5.branch1.1.conv_s.weight": [128, 96, 1, 3, 3],
    "base.12.branch3.1.conv.weight": [128, 528, 1, 1, 1],
    "fc.0.weight": [400, 1024, 1, 1, 1],
}
SOME_R2PLUS1D = {
    "stem.0.weight": [45, 3, 1, 7, 7],
    "stem.3.weight": [64, 45, 3, 1, 1],
    "layer2.0.conv2.0.0.weight": [230, 128, 1, 3, 3],
    "layer4.0.conv1.0.3.weight": [512, 921, 3, 1, 1],
    "layer4.0.downsample.1.running_var": [512],
    "fc.weight": [400, 512],
}
SOME_I3D = {
    "Conv3d_1a_7x7.conv3d.weight": [64, 3, 7, 7, 7],
    "Mixed_4b.b1b.conv3d.weight": [208, 96, 3, 3, 3],
    "Mixed_5c.b3b.bn.running_var": [128],
    "logits.conv3d.weight": [400, 1024, 1, 1, 1],
}
SIZES = {
    "i3d": 344,
    "torchvision s3d": 464,
    "kylemin s3d": 464,
    "torchvision r2plus1d_18": 224,
}
SOME = {
    "i3d": SOME_I3D,
    "torchvision s3d": SOME_S3D,
    "kylemin s3d": SOME_KYLEMIN,
    "torchvision r2plus1d_18": SOME_R2PLUS1D,
}


@pytest.fixture(scope="module")
def ours():
    """The layouts of our reference networks."""
    sight = layouts.layout(s3d.S3D().state_dict())
    return {
        "i3d": layouts.layout(i3d.I3D().state_dict()),
        "torchvision s3d": sight,
        "kylemin s3d": {s3d.kylemin_name(name): size for name, size in sight.items()},
        "torchvision r2plus1d_18": layouts.layout(r2plus1d.R2Plus1D18().state_dict()),
    }


@pytest.mark.parametrize("name", SOME)
def test_names_and_shapes(ours, name):
    assert len(ours[name]) == SIZES[name]
    assert {key: ours[name].get(key) for key in SOME[name]} == SOME[name]


@pytest.mark.parametrize("name", SOME)
def test_whole_public_lists(ours, name):
    published = layouts.published()
    if published is None:
        pytest.skip("the folder of public checkpoint layouts is not at hand")
    published["i3d"] = next(
        content for key, content in published.items() if key.startswith("i3d")
    )
    published["kylemin s3d"] = next(
        content for key, content in published.items() if key.startswith("kylemin")
    )
    assert ours[name] == published[name]


@pytest.mark.parametrize(
    "name,encoder,naming",
    [
        ("i3d", "i3d", ""),
        ("torchvision s3d", "s3d", ""),
        ("kylemin s3d", "s3d", "kylemin"),
        ("torchvision r2plus1d_18", "r2plus1d18", ""),
    ],
)
def test_tables_cover_the_layout(ours, name, encoder, naming):
    table = encoder_table(encoder, Encoder(encoder).network(), naming)
    classifier = {key: ours[name][key] for key in table.unused}
    assert layouts.names_of(table) | classifier == ours[name]
