"""The table of a sweep, from made-up evaluations."""

import copy
import json

import pytest

from rac_jax.train import sweep_table


def _cell(run, estimator="sight", metric="mae", paper=None):
    return {"run": run, "estimator": estimator, "metric": metric, "paper": paper}


SWEEP = {
    "title": "Effect of something",
    "runs": {"with": {"loss.terms": ("squared", "relative")}, "without": {}},
    "columns": ["Sight MAE", "Sound OBO"],
    "rows": [
        {
            "name": "With it",
            "cells": {
                "Sight MAE": _cell("with", paper=0.314),
                "Sound OBO": _cell("with", "sound", "obo"),
            },
        },
        {
            "name": "Without",
            "cells": {"Sight MAE": _cell("without", paper=0.5)},
        },
    ],
    "note": (
        "A note that says where the paper's numbers come from, and what else one really ought to "
        "know about them."
    ),
}


def _evaluation(sight=0.4119, sound=0.25, rounded=0.4):
    return {
        "estimators": {
            "sight": {"n": 8, "mae": sight, "mae_rounded": rounded, "obo": 0.9},
            "sound": {"n": 7, "mae": 0.9, "mae_rounded": 0.9, "obo": sound},
        }
    }


def _write(workdir, run, evaluation):
    path = workdir / run / "evaluation.json"
    path.parent.mkdir(exist_ok=True)
    text = evaluation if isinstance(evaluation, str) else json.dumps(evaluation)
    path.write_text(text, encoding="utf-8")
    return path


def _text(workdir, sweep=SWEEP):
    evaluations = sweep_table.read_evaluations(workdir, sweep)
    return sweep_table.table_text("table0", sweep, evaluations)


def test_table_reads_like_this(tmp_path):
    _write(tmp_path, "with", _evaluation())
    _write(tmp_path, "without", _evaluation(sight=12.5))
    assert _text(tmp_path) == (
        "table0: Effect of something, ours (paper), MAE as unrounded / rounded\n"
        "\n"
        "         Sight MAE               Sound OBO\n"
        "With it   0.412 / 0.400 (0.314)  0.250\n"
        "Without  12.500 / 0.400 (0.500)\n"
        "\n"
        "A note that says where the paper's numbers come from, and "
        "what else one really ought to know about\n"
        "them."
    )


def test_a_run_not_yet_evaluated_is_a_dash(tmp_path):
    _write(tmp_path, "with", _evaluation())
    (tmp_path / "without").mkdir()
    evaluations = sweep_table.read_evaluations(tmp_path, SWEEP)
    assert evaluations == {"with": _evaluation(), "without": None}
    text = sweep_table.table_text("table0", SWEEP, evaluations)
    assert text.splitlines()[3:5] == [
        "With it  0.412 / 0.400 (0.314)  0.250",
        "Without              -",
    ]


def test_a_score_over_no_video_is_a_dash(tmp_path):
    _write(tmp_path, "with", _evaluation(sight=None, rounded=None))
    _write(tmp_path, "without", _evaluation())
    lines = _text(tmp_path).splitlines()
    assert lines[3].split() == ["With", "it", "-", "0.250"]


def test_an_empty_note_leaves_no_blank_lines(tmp_path):
    _write(tmp_path, "with", _evaluation())
    assert _text(tmp_path, SWEEP | {"note": ""}).splitlines()[-1].startswith("Without")


def test_columns_that_do_not_fit_go_below(tmp_path):
    _write(tmp_path, "with", _evaluation())
    columns = [f"column {i}" for i in range(7)]
    row = {"name": "With it", "cells": {c: _cell("with", paper=0.1) for c in columns}}
    lines = _text(tmp_path, SWEEP | {"columns": columns, "rows": [row]}).splitlines()
    headers = [line for line in lines if "column" in line]
    assert " ".join(headers).split() == " ".join(columns).split()
    assert len(headers) == 2
    assert sum(line.startswith("With it") for line in lines) == 2
    assert max(map(len, lines)) <= sweep_table.WIDTH


def test_a_column_of_full_width_still_gets_printed(tmp_path):
    _write(tmp_path, "with", _evaluation())
    wide = "w" * 120
    row = {"name": "With it", "cells": {wide: _cell("with")}}
    lines = _text(tmp_path, SWEEP | {"columns": [wide], "rows": [row]}).splitlines()
    assert lines[2:4] == [" " * 9 + wide, "With it  0.412 / 0.400"]


def test_record_is_the_table_as_data(tmp_path):
    _write(tmp_path, "with", _evaluation())
    evaluations = sweep_table.read_evaluations(tmp_path, SWEEP)
    record = sweep_table.table_record("table0", SWEEP, evaluations)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["runs"] == {
        "with": {"changes": {"loss.terms": ["squared", "relative"]}, "finished": True},
        "without": {"changes": {}, "finished": False},
    }
    assert record["name"] == "table0"
    assert [record[key] for key in ("title", "note", "columns")] == [
        SWEEP[key] for key in ("title", "note", "columns")
    ]
    first, second = record["rows"]
    assert first["cells"] == {
        "Sight MAE": _cell("with", paper=0.314)
        | {"ours": 0.4119, "rounded": 0.4, "n": 8},
        "Sound OBO": _cell("with", "sound", "obo") | {"ours": 0.25, "n": 7},
    }
    assert second["cells"] == {
        "Sight MAE": _cell("without", paper=0.5)
        | {"ours": None, "rounded": None, "n": None}
    }


def test_the_sweep_is_left_as_it_was(tmp_path):
    before = copy.deepcopy(SWEEP)
    _write(tmp_path, "with", _evaluation())
    _text(tmp_path)
    assert SWEEP == before


@pytest.mark.parametrize(
    "content, fault",
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[]", 'has no object "estimators"'),
        ("{}", 'has no object "estimators"'),
        ('{"estimators": []}', 'has no object "estimators"'),
        ('{"estimators": {"sight": {"mae": 1, "n": 2}}}', "has no 'mae_rounded'"),
        (
            '{"estimators": {"sight": {"mae": 1, "mae_rounded": 1, "n": 2}}}',
            r"has no estimator 'sound' .*: sight",
        ),
        ('{"estimators": {"sight": 3}}', "has no estimator 'sight'"),
        ('{"estimators": {"sight": {"obo": 1}}}', "estimator 'sight' has no 'mae'"),
        (
            '{"estimators": {"sight": {"mae": "low"}}}',
            "mae of estimator 'sight' is 'low', not",
        ),
        (
            '{"estimators": {"sight": {"mae": true}}}',
            "mae of estimator 'sight' is True, not",
        ),
        (
            '{"estimators": {"sight": {"mae": NaN}}}',
            "mae of estimator 'sight' is nan, not",
        ),
        (
            '{"estimators": {"sight": {"mae": Infinity}}}',
            "mae of estimator 'sight' is inf, not",
        ),
    ],
)
def test_a_bad_evaluation_is_named(tmp_path, content, fault):
    path = _write(tmp_path, "with", content)
    with pytest.raises(ValueError, match=fault) as caught:
        sweep_table.read_evaluations(tmp_path, SWEEP)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_evaluation_that_is_not_text_is_named(tmp_path):
    path = _write(tmp_path, "with", "")
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match="with/evaluation.json: is not JSON"):
        sweep_table.read_evaluations(tmp_path, SWEEP)


def test_a_missing_estimator_is_named_without_files_too():
    evaluations = {"with": {"estimators": {}}, "without": None}
    with pytest.raises(
        ValueError, match=r"with.evaluation\.json: has no estimator 'sight'"
    ):
        sweep_table.table_text("table0", SWEEP, evaluations)


def test_an_optional_estimator_that_the_run_has_not_is_left_open():
    cells = {
        name: _cell("with", name, paper=0.5) | {"optional": True}
        for name in ("stride_1", "stride_6")
    }
    sweep = SWEEP | {
        "runs": {"with": {}},
        "columns": list(cells),
        "rows": [{"name": "MAE", "cells": cells}],
    }
    scores = {"stride_1": {"mae": 0.25, "mae_rounded": 0.2, "obo": 1, "n": 4}}
    evaluations = {"with": {"estimators": scores}}
    row = sweep_table.table_text("table7", sweep, evaluations).splitlines()[3]
    assert row.split() == ["MAE", "0.250", "/", "0.200", "(0.500)", "-"]
    record = sweep_table.table_record("table7", sweep, evaluations)
    assert record["rows"][0]["cells"]["stride_6"]["ours"] is None
    del cells["stride_6"]["optional"]
    with pytest.raises(ValueError, match="has no estimator 'stride_6'"):
        sweep_table.table_text("table7", sweep, evaluations)


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_workdir_without_runs_is_named(tmp_path, folder):
    with pytest.raises(ValueError, match="no evaluation.json of any run") as caught:
        sweep_table.read_evaluations(tmp_path / folder, SWEEP)
    assert str(caught.value).startswith(f"{tmp_path / folder}: ")
    assert "\n" not in str(caught.value)


def test_find_sweep():
    sweeps = {"table1": SWEEP, "table2": {}}
    assert sweep_table.find_sweep(sweeps, "table1") is SWEEP
    with pytest.raises(ValueError, match="'table9'; known: table1, table2"):
        sweep_table.find_sweep(sweeps, "table9")


def test_check_sweep_accepts_a_sound_one():
    sweep_table.check_sweep(SWEEP)


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"run": "other"}, "unknown run 'other'; known: with, without"),
        ({"metric": "mse"}, "unknown metric 'mse'; known: mae, obo, top1, top5, map"),
        ({"metric": None}, "unknown metric None"),
        ({"estimator": ""}, "column 'Sight MAE': no 'estimator'"),
        ({"run": "with"}, "no cell shows the runs without"),
    ],
)
def test_check_sweep_finds_wrong_cells(change, fault):
    sweep = copy.deepcopy(SWEEP)
    sweep["rows"][1]["cells"]["Sight MAE"] |= change
    with pytest.raises(ValueError, match=fault):
        sweep_table.check_sweep(sweep)


def test_check_sweep_wants_the_papers_number_or_none():
    sweep = copy.deepcopy(SWEEP)
    del sweep["rows"][0]["cells"]["Sight MAE"]["paper"]
    with pytest.raises(ValueError, match="row 'With it', column 'Sight MAE': no 'pap"):
        sweep_table.check_sweep(sweep)


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"columns": ["Sight MAE"]}, "column 'Sound OBO': no such column"),
        ({"runs": SWEEP["runs"] | {"../up": {}}}, "run '../up': use only"),
        ({"runs": SWEEP["runs"] | {"": {}}}, "run '': use only"),
        ({"runs": SWEEP["runs"] | {"third": {}}}, "no cell shows the runs third"),
    ],
)
def test_check_sweep_finds_wrong_lists(change, fault):
    with pytest.raises(ValueError, match=fault):
        sweep_table.check_sweep(SWEEP | change)


@pytest.mark.parametrize("key", sweep_table.KEYS)
def test_check_sweep_finds_missing_keys(key):
    sweep = {k: value for k, value in SWEEP.items() if k != key}
    with pytest.raises(ValueError, match=f"sweep has no '{key}'"):
        sweep_table.check_sweep(sweep)


COUNTED = [(2, 2.6), (2, 1.0), (3, 3.0), (21, 14.0), (0, 1.0)]


def _some(counts, videos=COUNTED, metric="mae"):
    cell = _cell("only", metric=metric) | {"counts": counts}
    sweep = {
        "title": "Some",
        "runs": {"only": {}},
        "columns": ["c"],
        "rows": [{"name": "r", "cells": {"c": cell}}],
        "note": "",
    }
    sweep_table.check_sweep(sweep)
    rows = [{"video_id": "v", "count": label, "sight": one} for label, one in videos]
    evaluations = {"only": _evaluation() | {"videos": rows}}
    record = sweep_table.table_record("some", sweep, evaluations)
    return record["rows"][0]["cells"]["c"]


def test_a_cell_may_be_of_videos_with_so_many_repetitions():
    two = _some((2, 2))
    assert two["ours"] == pytest.approx((0.3 + 0.5) / 2) and two["n"] == 2
    assert two["rounded"] == pytest.approx((0.5 + 0.5) / 2)
    assert _some((3, None))["ours"] == pytest.approx(1 / 6)
    assert _some((3, None), metric="obo")["ours"] == 0.5
    nobody = _some((30, None))
    assert nobody["ours"] is None and nobody["n"] == 0


def test_cells_of_some_videos_need_every_video():
    with pytest.raises(ValueError, match="does not have every video's 'sight'"):
        sweep_table._scores_of_some(
            {"videos": [{"count": 2}]}, "sight", {"counts": (2, 2)}, "evaluation.json"
        )
