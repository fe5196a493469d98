"""The sweeps of paper 1: complete, sound, and with the numbers the paper prints."""

import importlib.util
import pathlib

import pytest

from rac_jax.train import sweep_table

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "sight_sound_sweeps.py"
NAMES = [
    *("table2", "table3", "table5_countix", "table5_countix_av", "table5_extreme"),
    *("table7", "table8", "table9", "table10", "table10_countix"),
    *("figure4", "figure5", "figure6", "figure7", "figure8", "ucfrep"),
]
# Of a run with strides 1 to 5, as `rac_jax.models.sight_sound.evaluation` has them.
ESTIMATORS = [
    *("sight", "sound", "sight_ranker", "average", "fused"),
    *(f"stride_{stride}" for stride in range(1, 6)),
]


def _load() -> dict[str, dict]:
    spec = importlib.util.spec_from_file_location("sight_sound_sweeps", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_sweeps()


SWEEPS = _load()


def _paper(name: str) -> list[list[float | None]]:
    """The paper's numbers, a list per row; None too where there is no cell."""
    sweep = SWEEPS[name]
    return [
        [row["cells"].get(column, {}).get("paper") for column in sweep["columns"]]
        for row in sweep["rows"]
    ]


def _estimators(name: str) -> list[list[str]]:
    """The estimators that each row shows, in order and without repeats."""
    rows = SWEEPS[name]["rows"]
    return [
        list(dict.fromkeys(cell["estimator"] for cell in row["cells"].values()))
        for row in rows
    ]


def _by_row(name: str) -> list[dict]:
    """What the run of each row changes."""
    sweep = SWEEPS[name]
    rows = [{cell["run"] for cell in row["cells"].values()} for row in sweep["rows"]]
    assert all(len(runs) == 1 for runs in rows)
    return [sweep["runs"][run] for (run,) in rows]


def test_all_sweeps_are_there():
    assert list(SWEEPS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_sweep_is_sound(name):
    sweep_table.check_sweep(SWEEPS[name])


@pytest.mark.parametrize("name", NAMES)
def test_cells_show_known_estimators(name):
    for row in SWEEPS[name]["rows"]:
        for cell in row["cells"].values():
            over = cell["estimator"] == "stride_6"
            assert cell["estimator"] in ESTIMATORS or over and cell["optional"]


def test_runs_of_the_same_name_are_the_same_run():
    seen = {}
    for sweep in SWEEPS.values():
        for run, changes in sweep["runs"].items():
            assert seen.setdefault(run, changes) == changes, run


def test_different_runs_of_a_sweep_differ():
    for name, sweep in SWEEPS.items():
        changes = [repr(sorted(fields.items())) for fields in sweep["runs"].values()]
        assert len(set(changes)) == len(changes), name


def test_runs_change_known_fields_only():
    known = {
        *("loss.terms", "loss.diversity", "model.sight_classes", "model.sound_classes"),
        *("stride.threshold", "stride.margin"),
        *("reliability.sight_threshold", "reliability.sound_threshold"),
        *("reliability.predictions", "reliability.fusion"),
    }
    changed = {
        field
        for sweep in SWEEPS.values()
        for changes in sweep["runs"].values()
        for field in changes
    }
    assert changed == known


def test_table2():
    assert SWEEPS["table2"]["runs"] == {"base": {}}
    assert _paper("table2") == [
        [0.331, 0.431],
        [0.375, 0.377],
        [0.314, 0.459],
        [0.300, 0.439],
        [0.291, 0.479],
    ]
    assert _estimators("table2") == [
        ["sight"],
        ["sound"],
        ["sight_ranker"],
        ["average"],
        ["fused"],
    ]


def test_table3():
    assert _paper("table3") == [
        [0.371, 0.424, 0.471, 0.338],
        [0.324, 0.478, 0.410, 0.343],
        [0.356, 0.446, 0.447, 0.310],
        [0.370, 0.421, 0.426, 0.340],
        [0.314, 0.498, 0.375, 0.377],
    ]
    assert [set(changes["loss.terms"]) for changes in _by_row("table3")] == [
        {"squared"},
        {"squared", "diversity"},
        {"relative", "diversity"},
        {"squared", "relative"},
        {"squared", "relative", "diversity"},
    ]
    assert _estimators("table3") == [["sight", "sound"]] * 5


def test_table7():
    assert SWEEPS["table7"]["runs"] == {"base": {}}
    assert _paper("table7") == [[0.607, 0.378, 0.387, 0.427, 0.467, 0.475, 0.314]]
    assert _estimators("table7") == [[*(f"stride_{i}" for i in range(1, 7)), "sight"]]


def test_table8():
    rows = [  # theta_r^v, theta_r^a, MAE
        *((0.365, 0.420, 0.294), (0.365, 0.400, 0.291)),
        *((0.365, 0.390, 0.292), (0.365, 0.380, 0.294)),
        *((0.360, 0.420, 0.292), (0.360, 0.400, 0.291)),
        *((0.360, 0.390, 0.292), (0.360, 0.380, 0.295)),
        *((0.355, 0.420, 0.294), (0.355, 0.400, 0.293)),
        *((0.355, 0.390, 0.293), (0.355, 0.380, 0.296)),
        *((0.350, 0.420, 0.292), (0.350, 0.400, 0.293)),
        *((0.350, 0.390, 0.292), (0.350, 0.380, 0.295)),
    ]
    assert _paper("table8") == [[mae] for _, _, mae in rows]
    assert _by_row("table8") == [
        {"reliability.sight_threshold": sight, "reliability.sound_threshold": sound}
        for sight, sound, _ in rows
    ]
    assert _estimators("table8") == [["fused"]] * 16


def test_table9():
    assert _paper("table9") == [[0.297, 0.436], [0.301, 0.421], [0.291, 0.479]]
    assert _by_row("table9") == [
        {"reliability.predictions": "final", "reliability.fusion": "reliability"},
        {
            "reliability.predictions": "empirical",
            "reliability.fusion": "fully_connected",
        },
        {"reliability.predictions": "empirical", "reliability.fusion": "reliability"},
    ]
    assert _estimators("table9") == [["fused"]] * 3


def test_table10_is_two_measurements():
    assert _paper("table10") == [[0.330, 0.407], [0.400, 0.301], [0.316, 0.424]]
    assert _estimators("table10") == [["sight"], ["sound"], ["fused"]]
    assert _paper("table10_countix") == [[0.309, 0.490]]
    assert _estimators("table10_countix") == [["sight"]]
    for name, rows in (("table10", 3), ("table10_countix", 1)):
        assert _by_row(name) == [{"loss.diversity": "action_class"}] * rows


def test_table5():
    assert _paper("table5_countix") == [[0.314, 0.498], [0.793, 0.331], [0.307, 0.511]]
    audiovisual = [[0.331, 0.431], [0.375, 0.377], [0.291, 0.479]]
    assert _paper("table5_countix_av") == audiovisual
    assert _paper("table5_extreme") == [[0.392, None], [0.351, None], [0.329, None]]
    for name in ("table5_countix", "table5_countix_av", "table5_extreme"):
        assert _estimators(name) == [["sight"], ["sound"], ["fused"]]
        # One trained model, measured on each.
        assert SWEEPS[name]["runs"] == {"base": {}}


def test_ucfrep_has_its_own_repetition_classes():
    assert _paper("ucfrep") == [[0.143, 0.800]]
    assert _by_row("ucfrep") == [{"model.sight_classes": 24}]


def test_figure4():
    classes = [1, 10, 20, 30, 36, 41, 43, 50]
    assert _by_row("figure4") == [
        {"model.sight_classes": p, "model.sound_classes": p} for p in classes
    ]
    assert _paper("figure4") == [
        [0.314 if p == 41 else None, 0.375 if p == 43 else None] for p in classes
    ]
    assert _estimators("figure4") == [["sight", "sound"]] * 8


@pytest.mark.parametrize(
    "name, field, values, best",
    [
        (
            "figure7",
            "stride.threshold",
            [0.10, 0.15, 0.20, 0.25, 0.29, 0.33, 0.36],
            0.29,
        ),
        ("figure8", "stride.margin", [1.0, 1.5, 2.0, 2.5, 2.9, 3.5, 4.0], 2.9),
    ],
)
def test_curves_of_the_stride_module(name, field, values, best):
    assert _by_row(name) == [{field: value} for value in values]
    assert _paper(name) == [[0.314 if value == best else None] for value in values]
    assert _estimators(name) == [["sight"]] * len(values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("score", [0.5, 123.456])
def test_table_is_no_wider_than_a_page(name, score):
    scores = {
        key: {"n": 1, "mae": score, "mae_rounded": score, "obo": score}
        for key in ESTIMATORS
    }
    videos = [{"count": count} | dict.fromkeys(ESTIMATORS, score) for count in (3, 21)]
    evaluation = {"estimators": scores, "videos": videos}
    evaluations = dict.fromkeys(SWEEPS[name]["runs"], evaluation)
    text = sweep_table.table_text(name, SWEEPS[name], evaluations)
    assert max(map(len, text.splitlines())) <= 100
    assert all(text.count(row["name"]) for row in SWEEPS[name]["rows"])
    assert text.isascii()


def test_figures_5_and_6_are_of_table_3_s_runs():
    for name in ("figure5", "figure6"):
        assert SWEEPS[name]["runs"].items() <= SWEEPS["table3"]["runs"].items()
    assert _paper("figure5") == [
        [None, None, None, 0.387],
        [None, None, None, 0.553],
        [None, None, None, 0.356],
    ]
    assert _paper("figure6") == [[0.348, *[None] * 3], [None] * 4, [0.217, *[None] * 3]]
    last = SWEEPS["figure5"]["rows"][2]["cells"]["more than 20"]
    assert last["counts"] == (21, None) and last["estimator"] == "sight"
    assert SWEEPS["figure6"]["rows"][0]["cells"]["2"]["counts"] == (2, 2)
