"""The reference networks have the release's names and shapes, and our tables cover them."""

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import release
from rac_jax.counting import programs
from rac_jax.models.sight_sound import FAMILY, conversion
from tests.encoders import layouts

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
    "visual_checkpoint.pt : state_dict": 226,
    "audio_checkpoint.pt : state_dict": 124,
    "sr_checkpoint.pt : sr_state_dict": 56,
    "sr_checkpoint.pt : a_sr_state_dict": 32,
    "conf_checkpoint.pt : v_state_dict": 32,
}


@pytest.fixture(scope="module")
def ours():
    """The layouts of our reference networks."""
    return {
        f"{file} : {key}": layouts.layout(state)
        for file, content in release.checkpoints(release.Release()).items()
        for key, state in content.items()
    }


@pytest.mark.parametrize("name", SOME_RELEASE)
def test_names_and_shapes(ours, name):
    some = SOME_RELEASE[name]
    assert len(ours[name]) == SIZES[name]
    assert {key: ours[name].get(key) for key in some} == some


@pytest.mark.parametrize("name", SOME_RELEASE)
def test_whole_public_lists(ours, name):
    published = layouts.published()
    if published is None:
        pytest.skip("the folder of public checkpoint layouts is not at hand")
    assert ours[name] == published[name]


def test_tables_cover_the_layout(ours):
    network = FAMILY.network(**conversion.RELEASE_ARGUMENTS)
    tables = conversion.release_tables(network)
    for (file, key), table in tables.items():
        wanted = {
            name.removeprefix("module."): size
            for name, size in ours[f"{file} : {key}"].items()
        }
        unused = {name: list(size) for name, size in table.unused.items()}
        assert layouts.names_of(table) | unused == wanted
    paths = [entry.path for table in tables.values() for entry in table.entries]
    assert sorted(paths) == sorted(
        programs.array_shapes(network, FAMILY.example_inputs(network))
    )


def test_tables_of_the_release_are_for_its_form():
    with pytest.raises(ValueError, match="not of the released form: sight_encoder"):
        conversion.release_tables(FAMILY.network())
