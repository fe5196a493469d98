"""Errors against values worked out by hand, settings that cannot be, and a whole run."""

import jax
import numpy as np
import pytest

from rac_jax import train
from rac_jax.models import loading
from rac_jax.models.optical_flow import FAMILY, evaluation
from rac_jax.train import training
from rac_jax.train.scene_windows import part_sizes
from tests.models.optical_flow import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


@pytest.mark.parametrize("variant", ["", "refined", "small", "quick"])
def test_variants_are_sound(variant, tmp_path):
    config = tiny_run.load_config(variant)
    run = training.checked_run(FAMILY, config, tmp_path)
    task = run.stages[0].task(run, {})
    variables = jax.eval_shape(
        lambda key: run.network.init(key, np.zeros((1, 2, 32, 32, 3), np.float32)),
        jax.random.key(0),
    )
    assert sorted(task.trained) == sorted(variables["params"])
    # Every kind of scenes is in every batch.
    assert all(part_sizes(task.parts, config.flow.batch))
    if variant == "small":
        size = sum(leaf.size for leaf in jax.tree.leaves(variables))
        assert 2 * size < 3e6  # bytes, of half precision


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.scales", 3, "model.scales: 3 is not 1 or 2"),
        ("model.refinements", 2, "model.refinements: 2 need model.scales to be 2"),
        ("flow.frames", 2, "flow.frames: 2 is below 3"),
        ("flow.epoch_steps", 0, "flow.epoch_steps: must be above 0"),
        ("data.test.number", 0, "data.test.number: 0 is not positive"),
    ],
)
def test_settings_that_cannot_be(field, value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        training.checked_run(FAMILY, tiny_run.tiny_config({field: value}), tmp_path)


def test_errors_by_what_they_are_of():
    """Three pairs of eight pixels; one moves faster and faster, and one is hidden at first."""
    true = np.zeros((3, 2, 4, 2), np.float32)
    true[:, 0, 0, 0] = [1, 2, 4]
    hidden = np.zeros((3, 2, 4), bool)
    hidden[0, 1, 3] = True
    found = true + np.float32([3, 4])
    sums = np.asarray(evaluation.error_sums(found, true, hidden))
    # By name: all that are seen, what moves, what is hidden, and two changes without an error.
    np.testing.assert_allclose(sums, [[23 * 5, 23], [15, 3], [5, 1], [0, 2]])
    still = np.asarray(evaluation.error_sums(0 * true, true, hidden))
    np.testing.assert_allclose(still, [[7, 23], [7, 3], [0, 1], [3, 2]])
    both = np.stack([sums, still])
    assert evaluation.scores(both) == pytest.approx(
        {"epe": 5, "moving": 5, "hidden": 5, "inflection": 0}
    )
    assert evaluation.scores(np.stack([both, both]), 1)["inflection"] == 1.5
    empty = np.zeros((2, 4, 2))
    assert set(evaluation.scores(empty).values()) == {None}


@pytest.mark.slow
def test_it_is_trained_and_exported_as_an_encoder(tmp_path):
    trained = train.train(FAMILY, tiny_run.tiny_config(), tmp_path)
    found = trained.report["estimators"]
    assert found["no motion"]["moving"] > 0.5
    assert np.isfinite(list(found["gmflow-quick"].values())).all()
    assert trained.report["challenges"] == {"moving": found}
    network, variables, config = loading.load_model(trained.export)
    assert config["family"] == "gmflow" and network == trained.run.network
    np.testing.assert_allclose(
        variables["params"]["backbone"]["conv2"]["bias"],
        trained.variables["params"]["backbone"]["conv2"]["bias"],
        atol=1e-2,
    )
    # Another run may begin with it.
    first = training.started({"model": str(trained.export)}, trained.variables)
    assert jax.tree.structure(first) == jax.tree.structure(trained.variables)
