"""The reference networks have the public names and shapes, and our tables cover them."""

import json
import pathlib

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import r2plus1d, release, s3d
from rac_jax.interop import tables
from rac_jax.models import registry
from rac_jax.models.sight_sound import conversion as convert

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
SOME_RELEASE = {
    "visual_checkpoint.pt : state_dict": {
        "module.stem.4.num_batches_tracked": [],
        "module.fc.weight": [1394, 512],
        "module.fc2.bias": [41],
    },
    "audio_checkpoint.pt : state_dict": {
        "audnet.conv1.weight": [64, 1, 7, 7],
        "audnet.layer2.0.downsample.0.weight": [128, 64, 1, 1],
        "audnet.fc.weight": [774, 512],
        "audnet.fc2.weight": [43, 512],
    },
    "sr_checkpoint.pt : sr_state_dict": {
        "module.layer4.1.conv2.1.running_mean": [512],
        "module.fc.0.weight": [41, 1024],
    },
    "sr_checkpoint.pt : a_sr_state_dict": {
        "layer4.0.bn1.weight": [512],
        "fc.weight": [1000, 512],
    },
    "conf_checkpoint.pt : v_state_dict": {
        "layer4.0.conv1.weight": [512, 256, 3, 3],
        "fc.1.weight": [2, 1024],
    },
}
SIZES = {
    "torchvision s3d": 464,
    "kylemin s3d": 464,
    "torchvision r2plus1d_18": 224,
    "visual_checkpoint.pt : state_dict": 226,
    "audio_checkpoint.pt : state_dict": 124,
    "sr_checkpoint.pt : sr_state_dict": 56,
    "sr_checkpoint.pt : a_sr_state_dict": 32,
    "conf_checkpoint.pt : v_state_dict": 32,
}
SOME = {
    "torchvision s3d": SOME_S3D,
    "kylemin s3d": SOME_KYLEMIN,
    "torchvision r2plus1d_18": SOME_R2PLUS1D,
    **SOME_RELEASE,
}
PUBLIC = pathlib.Path(__file__).parents[3] / "shared" / "checkpoint_layouts"


def layout(state):
    return {name: list(tensor.shape) for name, tensor in state.items()}


@pytest.fixture(scope="module")
def ours():
    """The layouts of our reference networks."""
    sight = layout(s3d.S3D().state_dict())
    layouts = {
        "torchvision s3d": sight,
        "kylemin s3d": {s3d.kylemin_name(name): size for name, size in sight.items()},
        "torchvision r2plus1d_18": layout(r2plus1d.R2Plus1D18().state_dict()),
    }
    for file, content in release.checkpoints(release.Release()).items():
        for key, state in content.items():
            layouts[f"{file} : {key}"] = layout(state)
    return layouts


@pytest.mark.parametrize("name", SOME)
def test_names_and_shapes(ours, name):
    assert len(ours[name]) == SIZES[name]
    assert {key: ours[name].get(key) for key in SOME[name]} == SOME[name]


@pytest.mark.parametrize("name", SOME)
def test_whole_public_lists(ours, name):
    if not PUBLIC.is_dir():
        pytest.skip("the folder of public checkpoint layouts is not at hand")
    published = {}
    for path in PUBLIC.glob("*.json"):
        published |= json.loads(path.read_text(encoding="utf-8"))
    published["kylemin s3d"] = next(
        content for key, content in published.items() if key.startswith("kylemin")
    )
    assert ours[name] == published[name]


def names_of(table):
    entries = {entry.name: list(entry.torch_shape) for entry in table.entries}
    return entries | {name: [] for name in table.counters()}


@pytest.mark.parametrize(
    "name,family,naming",
    [
        ("torchvision s3d", "s3d", ""),
        ("kylemin s3d", "s3d", "kylemin"),
        ("torchvision r2plus1d_18", "r2plus1d18", ""),
    ],
)
def test_tables_of_backbones_cover_the_layout(ours, name, family, naming):
    table = tables.backbone(registry.build_model(family), naming)
    classifier = {key: ours[name][key] for key in table.unused}
    assert names_of(table) | classifier == ours[name]


def test_tables_of_the_release_cover_the_layout(ours):
    module = registry.build_model("sight_sound", **convert.RELEASE_ARGUMENTS)
    for (file, key), table in tables.release(module).items():
        wanted = {
            name.removeprefix("module."): size
            for name, size in ours[f"{file} : {key}"].items()
        }
        unused = {name: list(size) for name, size in table.unused.items()}
        assert names_of(table) | unused == wanted
    paths = [
        entry.path
        for table in tables.release(module).values()
        for entry in table.entries
    ]
    assert sorted(paths) == sorted(tables.shapes_of(module))
