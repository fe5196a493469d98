"""LMRL's parts against loops and its losses against sums by hand; its variants and settings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.lmrl import FAMILY, losses, network, period_maps, recipe
from rac_jax.models.transrac.losses import counting_terms, weighed
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run, check_stages
from rac_jax.train.state import make_optimiser
from tests.models.transrac import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")
TINY = {"width": 0.0625, "encoder": "plain", "places": 1, "frames": 14}


def run_of(config, folder):
    built = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), built, mesh.make_mesh(), stop)


def test_the_learned_similarity_is_a_bilinear_form():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    module = period_maps.LearnedSimilarity()
    variables = module.init(jax.random.key(0), x)
    np.testing.assert_array_equal(variables["params"]["weight"], np.eye(3))
    weight = rng.normal(size=(3, 3)).astype(np.float32)
    found = module.apply({"params": {"weight": weight}}, x)
    for b, i, j in np.ndindex(2, 5, 5):
        wanted = x[b, i] @ weight @ x[b, j] / np.sqrt(3)
        assert float(found[b, i, j]) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("pool", period_maps.POOLS)
def test_a_scale_pools_as_a_loop_does(pool, monkeypatch):
    """What goes into the projection: maxima over 2k keys, of one row or of 2k."""
    frames, scale, channels = 14, 2, 3
    maps = np.random.default_rng(1).normal(size=(1, frames, frames, channels))
    maps = maps.astype(np.float32)
    size = 2 * scale
    tokens = -(-frames // size)
    rows = range(frames) if pool == "along_keys" else range(0, frames, size)
    high = 1 if pool == "along_keys" else size
    wanted = np.zeros((len(rows), tokens * channels), np.float32)
    for place, row in enumerate(rows):
        for token in range(tokens):
            part = maps[0, row : row + high, token * size : (token + 1) * size]
            wanted[place, token * channels : (token + 1) * channels] = part.max((0, 1))
    module = period_maps.ScaleVector(scale, pool)
    variables = module.init(jax.random.key(0), maps, train=False)
    out, state = module.apply(
        variables, maps, train=False, capture_intermediates=True, mutable=True
    )
    projected = state["intermediates"]["projection"]["__call__"][0][0]
    kernel = variables["params"]["projection"]["kernel"]
    np.testing.assert_allclose(projected, wanted @ kernel, atol=1e-4)
    assert out.shape == (1, frames, 1)
    if pool == "both_axes":
        np.testing.assert_array_equal(out[0, :size], np.repeat(out[0, :1], size, 0))


@pytest.mark.parametrize("representation", period_maps.REPRESENTATIONS)
@pytest.mark.parametrize("integration", ["fc_concat", "average"])
def test_variants_give_what_they_say(representation, integration):
    module = FAMILY.network(
        **TINY, representation=representation, integration=integration
    )
    clips = np.random.default_rng(0).uniform(-1, 1, (2, 14, 16, 16, 3))
    clips = clips.astype(np.float32)
    variables = module.init(jax.random.key(0), clips)
    out = module.apply(variables, clips)
    assert out.density.shape == out.foreground.shape == (2, 14)
    assert out.foreground_logits.shape == (2, 14, 2)
    heads = 4 if representation == "attention" else 1
    assert out.similarity.shape == (2, heads, 14, 14)
    assert np.all((out.foreground >= 0) & (out.foreground <= 1))


def test_each_branch_alone_hears_nothing_of_the_other():
    rng = np.random.default_rng(0)
    period, local = (rng.normal(size=(1, 6, n)).astype(np.float32) for n in (4, 8))
    for kind, silent in (("mpr", 1), ("rfl", 0), ("concat", None), ("average", None)):
        module = network.Integration(kind, 8)
        variables = module.init(jax.random.key(0), period, local)
        whole, _ = module.apply(variables, period, local)
        assert whole.shape == (1, 6, 8)
        for place in (0, 1):
            inputs = [period, local]
            inputs[place] = 0 * inputs[place]
            changed, _ = module.apply(variables, *inputs)
            same = np.allclose(changed, whole)
            assert same == (place == silent), (kind, place)


def test_localisation_by_hand():
    logits = np.array([[[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]]], np.float32)
    truth = np.array([[True, False, True]])
    found = float(losses.localisation(logits, truth)[0])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    cross = -(np.log(p[0, 0, 1]) + np.log(p[0, 1, 0]) + np.log(p[0, 2, 1])) / 3
    steps = sum(((p[0, t - 1] - p[0, t]) ** 2).sum() for t in (1, 2)) / (2 * 3)
    assert found == pytest.approx(cross + steps, rel=1e-5)


def test_triplets_by_hand():
    """Two foreground frames at 0 and 3, background at 1: every triplet can be listed."""
    x = np.array([[[0.0], [3.0], [1.0]]], np.float32)
    inside = np.array([[True, True, False]])
    many = [
        float(losses.triplet(x, inside, jax.random.key(seed))[0][0])
        for seed in range(200)
    ]
    # Anchor and positive are drawn alone, each of two; the negative is the third frame.
    at = [0.0, 3.0]
    every = [max(abs(a - p) - abs(a - 1.0) + 1, 0) for a in at for p in at]
    assert np.mean(many) == pytest.approx(np.mean(every), abs=0.05)
    for flat in (np.ones_like(inside), np.zeros_like(inside)):
        assert not losses.triplet(x, flat, jax.random.key(0))[1].any()
    slope = jax.grad(lambda x: losses.triplet(x, inside, jax.random.key(1))[0].sum())(x)
    assert np.isfinite(slope).all()


def test_counting_terms_by_hand():
    target = np.array([[0.5, 0.5, 1.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0]], np.float32)
    density = np.array([[0.5, 0.0, 1.0], [0.2, 0.0, 0.1], [0.0, 0.0, 0.0]], np.float32)
    batch = {"rate": jnp.asarray(target), "mask": jnp.array([True, True, False])}
    terms = counting_terms(jnp.asarray(density), batch)
    # |1.5 - 2| / 2, and |0.3 - 0| over at least one.
    assert float(terms["count"].value()) == pytest.approx((0.25 + 0.3) / 2)
    squared = (0.25 / 3 + (0.04 + 0.01) / 3) / 2
    assert float(terms["density"].value()) == pytest.approx(squared)
    # Where a video has a count alone, the density says nothing.
    batch |= {
        "count": jnp.array([3.0, 0.0, 0.0]),
        "known": jnp.array([False, True, True]),
    }
    terms = counting_terms(jnp.asarray(density), batch)
    assert float(terms["count"].value()) == pytest.approx((1.5 / 3 + 0.3) / 2)
    assert float(terms["density"].value()) == pytest.approx(0.05 / 3)
    loss, metrics = weighed(terms, ("density",), {"density": 10.0, "count": 1.0})
    assert float(loss) == pytest.approx(0.5 / 3)
    assert set(metrics) == {"count", "density", "part_density"}


@pytest.mark.parametrize("variant", ["", "small"])
def test_config_variants_are_sound(variant, tmp_path):
    run = run_of(tiny_run.load_config("lmrl", variant), tmp_path)
    check_stages(run)
    recipe.check(run)


@pytest.mark.parametrize("family", ["lmrl", "transrac"])
def test_the_papers_optimiser_is_known(family):
    config = tiny_run.load_config(family, "paper")
    make_optimiser(config.windows.optimiser, 1, {})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss.terms", ("count", "x"), "loss.terms: 'x' is not one of count, density"),
        ("loss.terms", (), "loss.terms: 'none' is not one of"),
        ("counting.protocol", "x", "counting.protocol: 'x' is not one of blended"),
        ("windows.examples", "x", "windows.examples: 'x' is not one of scenes, whole"),
        ("windows.padded", 2.0, "windows.padded: 2.0 is not from 0 to 1"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = tiny_run.tiny_config("lmrl", {field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(run_of(config, tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [("representation", "x"), ("pool", "x"), ("integration", "x"), ("encoder", "x")],
)
def test_unknown_parts_are_named(name, value):
    module = FAMILY.network(**TINY | {name: value})
    draw = functools.partial(module.init, jax.random.key(0))
    with pytest.raises(ValueError, match=f"{name}: 'x' is not one of"):
        draw(np.zeros((1, 14, 16, 16, 3), np.float32))
