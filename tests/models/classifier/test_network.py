"""Every encoder names actions, and its group is what other families start from."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting import programs, weights
from rac_jax.models import find_family
from rac_jax.models.classifier import FAMILY
from rac_jax.train import training
from tests.conftest import TINY_ARGUMENTS

SMALL = {"width": 0.0625, "classes": 3}
SWIN = {"width": 1 / 3, "classes": 3}
BLOCKS = {"efficientnet_lite": (), "plain": (), "resnet18": (), "resnet50v2": (1,)}


def shapes_of(family, arguments):
    """Parameters and statistics by group, as shapes; nothing is computed."""
    network = family.network(**arguments)
    nested = programs.abstract_variables(network, family.example_inputs(network))
    return {
        kind: {
            group: {path: leaf.shape for path, leaf in flat(tree).items()}
            for group, tree in groups.items()
        }
        for kind, groups in nested.items()
    }


def flat(tree):
    return flax.traverse_util.flatten_dict(tree, sep="/")


# The others are traced for their parameters below, which takes seconds each.
@pytest.mark.parametrize("encoder", BLOCKS)
def test_clips_have_logits_and_features(encoder):
    network = FAMILY.network(encoder=encoder, blocks=BLOCKS[encoder], **SMALL)
    (clips,) = FAMILY.example_inputs(network)
    made = programs.abstract_variables(network, (clips,))
    found = jax.eval_shape(network.apply, made, jnp.zeros((2, 8, 32, 32, 3)))
    assert found.logits.shape == (2, 3) and found.logits.dtype == jnp.float32
    assert found.features.shape[0] == 2 and found.features.ndim == 2
    assert set(made["params"]) <= {"encoder", "norm", "head"}


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50v2"])
def test_spectrograms_are_heard(encoder):
    blocks = BLOCKS[encoder]
    network = FAMILY.network(encoder=encoder, input="sound", blocks=blocks, **SMALL)
    made = programs.abstract_variables(network, FAMILY.example_inputs(network))
    found = jax.eval_shape(network.apply, made, jnp.zeros((2, 257, 100)))
    assert found.logits.shape == (2, 3)
    with pytest.raises(ValueError, match="spectrograms is .2, 4, 257, 100., must"):
        jax.eval_shape(network.apply, made, jnp.zeros((2, 4, 257, 100)))


def test_what_cannot_be_is_named():
    def apply(**arguments):
        network = FAMILY.network(**SMALL, **arguments)
        return jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64)))

    with pytest.raises(
        ValueError, match="encoder: 'vgg' is not one of efficientnet_lite, i3d, plain"
    ):
        apply(encoder="vgg")
    with pytest.raises(ValueError, match="encoder: s3d cannot hear"):
        apply(encoder="s3d", input="sound")
    with pytest.raises(ValueError, match="input: 'touch' is not one of frames, sound"):
        apply(encoder="resnet18", input="touch")
    with pytest.raises(TypeError, match="classifier has no argument 'depth'"):
        apply(depth=3)


def test_frames_of_a_clip_are_averaged():
    network = FAMILY.network(encoder="resnet18", **SMALL)
    variables = FAMILY.initialise(network, jax.random.key(0))
    clips = np.random.default_rng(0).normal(size=(2, 3, 32, 32, 3)).astype(np.float32)
    apply = jax.jit(network.apply)
    together = apply(variables, clips)
    alone = [apply(variables, clips[:, [t, t, t]]).features for t in range(3)]
    np.testing.assert_allclose(together.features, np.mean(alone, 0), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "family", "others", "group"),
    [
        (
            {"encoder": "s3d"},
            "sight_sound",
            {"sight_width": 0.0625, "sound_width": 0.0625},
            "sight_encoder",
        ),
        (
            {"encoder": "r2plus1d18"},
            "sight_sound",
            {
                "sight_encoder": "r2plus1d18",
                "sight_width": 0.0625,
                "sound_width": 0.0625,
            },
            "sight_encoder",
        ),
        (
            {"encoder": "resnet18", "input": "sound"},
            "sight_sound",
            {"sight_width": 0.0625, "sound_width": 0.0625},
            "sound_encoder",
        ),
        (
            {"encoder": "resnet50v2", "blocks": (2, 1)},
            "repnet",
            {"width": 0.0625, "blocks": (2, 1)},
            "encoder",
        ),
        (
            {"encoder": "plain"},
            "repnet",
            {"width": 0.0625, "encoder": "plain", "places": 1},
            "encoder",
        ),
        ({"encoder": "video_swin", **SWIN}, "transrac", {"width": 1 / 3}, "encoder"),
    ],
)
def test_the_encoder_is_that_of_other_families(arguments, family, others, group):
    ours = shapes_of(FAMILY, SMALL | arguments)
    theirs = shapes_of(find_family(family), others)
    for kind, groups in theirs.items():
        # TransRAC's encoder has one module in it.
        wanted = {
            path.removeprefix("video_swin/"): shape
            for path, shape in groups.get(group, {}).items()
        }
        assert ours.get(kind, {}).get("encoder", {}) == wanted
    assert ours["params"]["encoder"]


def test_sight_and_sound_start_from_its_encoder(tmp_path):
    """Written as a run exports it, taken as `--config.start.sight_encoder=MODEL` takes it."""
    network = FAMILY.network(encoder="s3d", **SMALL)
    variables = FAMILY.initialise(network, jax.random.key(1))
    config = {"name": "x", "family": "classifier", "arguments": {}, "preprocessing": {}}
    folder = weights.save_model(tmp_path / "export", config, variables, half=True)
    family = find_family("sight_sound")
    sight_sound = family.network(**TINY_ARGUMENTS)
    first = family.initialise(sight_sound, jax.random.key(2))
    found = training.started({"sight_encoder": str(folder)}, first)
    for kind in ("params", "batch_stats"):
        own, taken = (
            flat(variables[kind]["encoder"]),
            flat(found[kind]["sight_encoder"]),
        )
        assert own.keys() == taken.keys()
        for path, leaf in own.items():
            np.testing.assert_allclose(taken[path], leaf, rtol=2e-3, atol=1e-6)
    with pytest.raises(ValueError, match="start.sound_encoder: .* does not fit"):
        training.started({"sound_encoder": str(folder)}, first)


def test_its_encoder_has_the_published_names():
    network = FAMILY.network(encoder="resnet18", input="sound", **SMALL)
    variables = FAMILY.initialise(network, jax.random.key(0))
    state = FAMILY.to_torch(network, variables)["model.pt"]
    kernel = variables["params"]["encoder"]["stem"]["conv"]["kernel"]
    found = np.asarray(state["conv1.weight"])
    np.testing.assert_allclose(found, np.transpose(kernel, (3, 2, 0, 1)))
    plain = FAMILY.network(encoder="plain", **SMALL)
    assert FAMILY.to_torch(plain, variables) is None
