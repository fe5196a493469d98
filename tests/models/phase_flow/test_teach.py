"""`rac teach`: an exercise taught by a few scenes is counted in another one, also live."""

import json

import jax
import numpy as np
import pytest

import rac_jax
from rac_jax.cli.main import main
from rac_jax.counting import weights
from rac_jax.counting.live import LiveCount
from rac_jax.counting.source import FileSource
from rac_jax.data.phase_tags import TaggedClip
from rac_jax.models import loading
from rac_jax.models.phase_flow import FAMILY
from rac_jax.models.phase_flow.network import EVERY, flow_features
from rac_jax.models.sien import FAMILY as SIEN_FAMILY
from rac_jax.models.sien import RELEASED
from rac_jax.train.teaching import phases_at
from tests.conftest import moving_square, random_variables
from tests.models.phase_flow import exercise

pytestmark = pytest.mark.usefixtures("quick_compiling")
SHOWN = 4  # scenes that it is taught by


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exercise")
    found = exercise.write(folder, 1003, 0, SHOWN + 2, period=(20.0, 32.0))
    exercise.write_tags(folder / "tags.csv", found[:SHOWN])
    return folder, found


@pytest.fixture(scope="module")
def taught(scenes):
    folder = scenes[0]
    command = ["teach", "--tags", str(folder / "tags.csv"), "--out"]
    assert main([*command, str(folder / "model")]) == 0
    return rac_jax.load(folder / "model")


def test_another_scene_is_counted(scenes, taught):
    errors = []
    for path, marks in scenes[1][SHOWN:]:
        result = taught.count(path)
        errors.append(abs(result.rounded - len(marks)))
        assert result.rate.integral == pytest.approx(result.count)
    assert max(errors) <= 1 and min(errors) == 0
    config = json.loads((scenes[0] / "model" / "config.json").read_text())
    assert config["name"] == "model" and config["training"]["clips"] == SHOWN
    assert config["accuracy"]["left_out"]["one_off_at_most"] >= SHOWN - 1


def test_live_says_what_a_file_is_counted(scenes, taught):
    path, _ = scenes[1][SHOWN]
    live = LiveCount(taught, "scene", 16.0)
    needs = taught.family.needs(taught.config, taught.options())
    for chunk in FileSource(path, needs).chunks():
        for place in range(0, len(chunk.times_s), 5):
            part = slice(place, place + 5)
            said = live.feed(chunk.frames[part], chunk.times_s[part])
    assert live.finish().count == taught.count(path).count
    assert abs(said.count - taught.count(path).rounded) <= 1
    assert said.conclude(live.finish().rounded).count == taught.count(path).rounded


def test_flow_goes_where_a_thing_goes():
    """A square that moves right, then left: the sign of the flow to the right."""
    frames = moving_square(24, 64, 64, period=24.0)[..., :1] / np.float32(255)
    state = FAMILY.network().start(1, 64, 64)
    _, rows = flow_features(state, frames[None])
    now = np.asarray(rows)[0].reshape(6, 8, 2, 2, 2, 2)[:, 0]  # [m, side, y, x, (u, v)]
    right = now[..., 0].sum((1, 2, 3))
    # It turns at a quarter and at three quarters of 24 frames; a mean of three frames lags.
    assert right[0] > 0 and right[3] < 0 and right[5] > 0


def test_any_cutting_gives_the_same():
    network = FAMILY.network(hidden=4)
    variables = random_variables(network, 0, "phase_flow")
    clip = moving_square(24, 32, 32)[None, ..., :1] / np.float32(255)
    whole = network.apply(variables, clip).phases
    state, found = network.start(1, 32, 32), []
    for first in range(0, 24, 8):
        state, out = network.apply(
            variables, state, clip[:, first : first + 8], method="step"
        )
        found.append(out.phases)
    assert whole.shape == (1, 24 // EVERY, 3)
    np.testing.assert_allclose(np.concatenate(found, 1), whole, atol=1e-5)


def test_phases_of_marks():
    clip = TaggedClip("a", ((1.0, 1.5, 2.0), (2.0, 3.0, 4.0)))
    times_s = np.array([0.5, 1.0, 1.6, 2.0, 3.5, 4.0])
    assert phases_at(clip, times_s).tolist() == [0, 1, 2, 1, 2, 0]


@pytest.mark.slow
def test_a_head_over_another_models_encoder(scenes, tmp_path):
    """SI-EN's, with random weights: only the head is new."""
    folder, found = scenes
    arguments = {"width": 0.1, "depth": 0.5, "head": 16, "phases": 4, "norm": True}
    config = {
        "name": "start",
        "family": "sien",
        "arguments": arguments,
        "preprocessing": RELEASED | {"size": 24},
        "scheme": "middles",
    }
    variables = random_variables(SIEN_FAMILY.network(**arguments), 0, "sien")
    weights.save_model(tmp_path / "start", config, variables)
    exercise.write_tags(folder / "two.csv", found[:2])
    command = ["teach", "--tags", str(folder / "two.csv"), "--start"]
    out = tmp_path / "model"
    assert main([*command, str(tmp_path / "start"), "--out", str(out)]) == 0
    network, learned, config = loading.load_model(out)
    assert (network.phases, config["scheme"]) == (3, "halves")
    for kind in ("params", "batch_stats"):
        for one, other in zip(
            jax.tree.leaves(learned[kind]["encoder"]),
            jax.tree.leaves(variables[kind]["encoder"]),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    assert np.any(learned["params"]["phase_head"]["kernel"])


def test_what_cannot_be_taught_is_one_line(scenes, tmp_path, capsys):
    folder = scenes[0]
    few = tmp_path / "few.csv"
    few.write_text("file,start_s,end_s\na.mp4,1,2\n")
    out = ["--out", str(tmp_path / "model")]
    for tags, more, code, message in (
        (few, [], 2, "few.csv: marks 1 repetitions in 1 clips; at least 4 in 2"),
        (tmp_path / "no.csv", [], 2, "no.csv: No such file or directory"),
        (folder / "tags.csv", ["--start", "compact"], 2, "which cannot be taught"),
    ):
        assert main(["teach", "--tags", str(tags), *out, *more]) == code
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
    assert not (tmp_path / "model").exists()
    # A folder of something else is refused before anything is learned.
    tags = ["--tags", str(folder / "tags.csv")]
    assert main(["teach", *tags, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "is not a model folder, it holds few.csv" in said and said.count("\n") == 1


def test_a_clip_that_is_missing_is_told(scenes, tmp_path, capsys):
    folder, found = scenes
    tags = exercise.write_tags(folder / "more.csv", found[:1])
    tags.write_text(tags.read_text() + "gone.mp4,1.0,1.5,2.0\n")
    command = ["teach", "--tags", str(tags), "--out", str(tmp_path / "model")]
    assert main(command) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "gone.mp4" in first and "what could be read: marks" in second
