"""The sight-and-sound system: shapes, output laws, forms, training modes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.counting import programs
from rac_jax.models.sight_sound import FAMILY
from rac_jax.models.sight_sound import network as sight_sound

pytestmark = pytest.mark.usefixtures("quick_compiling")

TINY = {
    "sight_width": 0.0625,
    "sight_classes": 5,
    "sound_width": 0.0625,
    "sound_classes": 6,
}
FORMS = {
    "paper": TINY,
    "released": TINY
    | {
        "sight_encoder": "r2plus1d18",
        "sight_head": "expectation",
        "sound_head": "expectation",
        "ranker": "released",
        "reliability": "released",
        "use_sight_only_ranker": False,
    },
}


@functools.cache
def build(form):
    """A tiny model with random weights and statistics that are not trivial."""
    module = FAMILY.network(**FORMS[form])
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), jnp.float32)
        if name in ("mean", "bias"):
            return jnp.asarray(rng.normal(0, 0.1, leaf.shape), jnp.float32)
        fan_in = np.prod(leaf.shape[:-1])
        values = rng.normal(0, np.sqrt(2 / fan_in), leaf.shape)
        return jnp.asarray(values, jnp.float32)

    shapes = programs.abstract_variables(module, FAMILY.example_inputs(module))
    variables = jax.tree_util.tree_map_with_path(fill, shapes)
    return module, variables


@functools.cache
def outputs(form):
    """Everything on three clips and spectrograms, in one compilation per network."""
    module, variables = build(form)
    rng = np.random.default_rng(1)
    clips = jnp.asarray(rng.normal(size=(3, 8, 32, 34, 3)), jnp.float32)
    sounds = jnp.asarray(rng.normal(size=(3, 65, 50)), jnp.float32)
    run = jax.jit(functools.partial(module.apply, variables), static_argnames="method")
    return run, clips, sounds, run(clips, sounds)


@pytest.mark.parametrize("form", FORMS)
def test_shapes(form):
    _, _, _, out = outputs(form)
    wide = 64 if form == "paper" else 32
    before = 52 if form == "paper" else 16  # channels of stage 3
    shapes = jax.tree.map(jnp.shape, out)
    assert shapes.sight == sight_sound.SightOutput(
        (3,), (3, 5), (3, 5), (3, wide), (3, 2, before), (3, wide), (3,)
    )
    assert shapes.sound == sight_sound.SoundOutput(
        (3,), (3, 6), (3, 6), (3, 32), (3, 4, 16), (3, 32), (3, 32)
    )
    assert shapes.score == shapes.reliability == (3,)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(out))


@pytest.mark.parametrize("form", FORMS)
def test_output_laws(form):
    _, _, _, out = outputs(form)
    for stream in (out.sight, out.sound):
        np.testing.assert_allclose(stream.classes.sum(axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(
            stream.count, (stream.counts * stream.classes).sum(axis=-1), rtol=1e-4
        )
    assert ((out.reliability > 0) & (out.reliability < 1)).all()
    assert np.ptp(out.score) > 0
    assert np.any(out.sight.solo_score) == (form == "paper")
    if form == "released":
        assert ((out.sight.counts >= 2) & (out.sight.counts <= 35)).all()
        assert ((out.sound.counts >= 2) & (out.sound.counts <= 19)).all()


@pytest.mark.parametrize("form", FORMS)
def test_methods_and_rows_agree_with_the_whole(form):
    """A clip's output does not depend on its batch, nor on how the networks are called."""
    run, clips, sounds, out = outputs(form)
    sight = run(clips[1:2], method="sight")
    sound = run(sounds[1:2], method="sound")
    parts = sight_sound.SightSoundOutput(
        sight=sight,
        sound=sound,
        score=run(sight, sound, method="score"),
        reliability=run(sight, sound, method="reliability"),
    )
    for got, want in zip(jax.tree.leaves(parts), jax.tree.leaves(out), strict=True):
        np.testing.assert_allclose(got[0], want[1], rtol=1e-4, atol=1e-5)


def test_released_modules_by_hand():
    """The released score and reliability, written out in numpy."""
    _, variables = build("released")
    _, _, _, out = outputs("released")

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def dense(x, group):
        layer = variables["params"][group]["score"]
        return x @ layer["kernel"] + layer["bias"]

    sight, sound = out.sight, out.sound
    both = np.concatenate(
        [9 * unit(sight.rank_features), 9 * unit(sound.rank_features)], -1
    )
    score = (dense(both, "ranker") * sight.classes).sum(-1)
    np.testing.assert_allclose(out.score, score, rtol=1e-4)
    both = np.concatenate(
        [14 * unit(sound.reliability_features), 14 * unit(sight.features)], -1
    )
    weight_of_sight = 1 / (1 + np.exp(-dense(both, "reliability_head")[:, 0]))
    np.testing.assert_allclose(out.reliability, 1 - weight_of_sight, rtol=1e-4)


def test_paper_modules_by_hand():
    _, variables = build("paper")
    _, _, _, out = outputs("paper")

    def dense(x, group):
        layer = variables["params"][group]["score"]
        return (x @ layer["kernel"] + layer["bias"])[:, 0]

    sight, sound = out.sight, out.sound
    both = np.concatenate([sight.rank_features, sound.rank_features], -1)
    np.testing.assert_allclose(out.score, dense(both, "ranker"), rtol=1e-4)
    both = np.concatenate([sound.reliability_features, sight.features], -1)
    gamma = 1 / (1 + np.exp(-dense(both, "reliability_head")))
    np.testing.assert_allclose(out.reliability, gamma, rtol=1e-4)


def test_normalising_zero():
    x = jnp.zeros((2, 3))
    np.testing.assert_array_equal(sight_sound.normalised(x, 9.0), x)
    gradient = jax.grad(lambda x: sight_sound.normalised(x, 9.0).sum())(x)
    assert jnp.isfinite(gradient).all()


def test_fuse_is_equation_10():
    got = sight_sound.fuse(
        jnp.array([4.0, 4, 4]), jnp.array([8.0, 8, 8]), jnp.array([0.0, 0.25, 1])
    )
    np.testing.assert_allclose(got, [4, 5, 8])


def test_training_modes():
    """Statistics move in the named groups only; dropout needs its stream and changes γ."""
    module, variables = build("released")
    _, _, sounds, _ = outputs("released")

    @functools.partial(jax.jit, static_argnames="train")
    def run(key, train):
        return module.apply(
            variables,
            sounds,
            train=train,
            method="sound",
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )

    def moved(train):
        _, updates = run(jax.random.key(0), train)
        before, after = variables["batch_stats"], updates["batch_stats"]
        return {
            group
            for group in before
            if any(
                np.any(a != b)
                for a, b in zip(
                    jax.tree.leaves(before[group]),
                    jax.tree.leaves(after[group]),
                    strict=True,
                )
            )
        }

    assert moved(False) == set()
    assert moved(("reliability_head",)) == {"reliability_head"}
    assert moved(True) == {"sound_encoder", "ranker", "reliability_head"}
    _, _, _, out = outputs("released")
    gammas = [
        module.apply(
            variables,
            out.sight,
            out.sound,
            method="reliability",
            train=("reliability_head",),
            rngs={"dropout": jax.random.key(seed)},
        )
        for seed in (0, 1)
    ]
    assert np.any(gammas[0] != gammas[1])


@pytest.mark.slow
def test_bfloat16_is_near():
    _, variables = build("paper")
    _, clips, _, out = outputs("paper")
    half = FAMILY.network(**TINY, dtype="bfloat16")
    got = jax.jit(functools.partial(half.apply, method="sight"))(variables, clips)
    assert got.features.dtype == jnp.float32
    error = np.linalg.norm(got.features - out.sight.features)
    assert error < 0.05 * np.linalg.norm(out.sight.features)


@pytest.mark.parametrize(
    "method,shape,message",
    [
        ("sight", (0, 8, 32, 32, 3), "clips is"),
        ("sight", (1, 8, 32, 32), "clips is"),
        ("sight", (1, 8, 32, 32, 1), "clips is"),
        ("sight", (1, 2, 32, 32, 3), "must be .*>=5"),
        ("sound", (0, 257, 500), "spectrograms is"),
        ("sound", (1, 257, 0), "spectrograms is"),
        ("sound", (1, 257, 500, 1), "spectrograms is"),
    ],
)
def test_wrong_input_raises(method, shape, message):
    module, variables = build("paper")
    with pytest.raises(ValueError, match=message):
        module.apply(variables, jnp.ones(shape), method=method)


def test_unknown_group_raises():
    module, variables = build("paper")
    with pytest.raises(ValueError, match="train names 'head'"):
        module.apply(variables, jnp.ones((1, 9, 9)), method="sound", train=("head",))
