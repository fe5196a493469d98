"""The sweeps of paper 3: complete, sound, of fields that the config has, with the paper's numbers."""

import pytest

from rac_jax.cli import train
from rac_jax.train import settings, sweep_table
from tests.models.classifier import tiny_run as classifier_run
from tests.models.sien import tiny_run
from tests.models.skeleton_phases import tiny_run as skeleton_run

SWEEPS = train.load_sweeps(str(tiny_run.CONFIG))
VARIANTS = {"table4": "exercises", "table5": "tagged", "schemes": "people"}


@pytest.mark.parametrize("name", [*SWEEPS, "i3d", "st-gcn"])
def test_a_sweep_is_sound(name):
    if name == "i3d":
        sweep = train.load_sweeps(str(classifier_run.CONFIG))["table4"]
        config = classifier_run.load_config(name)
    elif name == "st-gcn":
        sweep = train.load_sweeps(str(skeleton_run.CONFIG))["schemes"]
        config = skeleton_run.load_config(name)
        assert sweep["runs"] == SWEEPS["schemes"]["runs"]
    else:
        sweep, config = SWEEPS[name], tiny_run.load_config(VARIANTS[name])
    sweep_table.check_sweep(sweep)
    for changes in sweep["runs"].values():
        for field, value in changes.items():
            assert type(settings.find_field(config.to_dict(), field)) is type(value)
    different = {repr(sorted(changes.items())) for changes in sweep["runs"].values()}
    assert len(different) == len(sweep["runs"])
    text = sweep_table.table_text(name, sweep, {})
    assert max(map(len, text.splitlines())) <= 100 and text.isascii()


def test_the_papers_numbers():
    def paper(name, row):
        found = SWEEPS[name]["rows"][row]
        return found["name"], [cell["paper"] for cell in found["cells"].values()]

    assert paper("table4", 2) == ("the last 10", [0.452, 0.507, 0.56, 0.635, 0.668])
    assert paper("table4", 3) == ("all", [0.362, 0.436, 0.515, 0.608, 0.636])
    assert paper("table5", 2) == ("halves", [0.046, 0.072, 0.022, 0.215])
    runs = SWEEPS["table4"]["runs"]
    assert len(runs) == 20 and runs["last10_5"] == {
        "clips.layers": 10,
        "data.train.per_class": 5,
    }
    assert len(SWEEPS["schemes"]["runs"]) == 9


def test_a_column_is_of_one_exercise():
    videos = [
        {"count": 4.0, "sight": 5.0, "label": "pushup"},
        {"count": 2.0, "sight": 2.0, "label": "inchworm"},
    ]
    scores = {"n": 2, "mae": 0.1, "mae_rounded": 0.1, "obo": 1.0}
    evaluation = {"estimators": {"sight": scores}, "videos": videos}
    record = sweep_table.table_record(
        "table5", SWEEPS["table5"], dict.fromkeys(SWEEPS["table5"]["runs"], evaluation)
    )
    cells = record["rows"][0]["cells"]
    assert (cells["pushup"]["ours"], cells["pushup"]["n"]) == (0.25, 1)
    assert (cells["inchworm"]["ours"], cells["dead bug"]["n"]) == (0.0, 0)
