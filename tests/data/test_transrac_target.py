"""The truth of TransRAC's evaluator: its target by hand, and what a perfect counter gets under it."""

import pathlib

import numpy as np
import pytest

from rac_jax.data import datasets, transrac_target
from rac_jax.data.annotations import Annotation

OFFICIAL = pathlib.Path(__file__).parents[3] / "shared" / "annotations"


def test_a_target_by_hand():
    # 128 frames: two to a bin. Bins 2 to 8, one bin wide, and one that takes over bins 7 to 9.
    cycles = np.array([[3.0, 16.0], [40.0, 40.0], [14.0, 18.0]])
    found = transrac_target.transrac_target(cycles, 128)
    # Starts and ends are sorted as one list: 2, 7, 8, 9, 20, 20.
    assert found[20] == 1
    assert found[2:8].sum() == pytest.approx(1, abs=0.01)
    assert found[8:10].sum() == pytest.approx(1, abs=0.01)
    # Where cycles are shorter than a bin, later ones take over what was there.
    quick = np.stack([np.arange(0, 128, 1.0), np.arange(1, 129, 1.0)], -1)
    assert transrac_target.transrac_target(quick, 128).sum() < 100


def test_scores_by_hand():
    found = transrac_target.transrac_scores(np.array([2.5, 4.4]), np.array([3.6, 4.0]))
    # Halves go to the even count: 2 against 4, 4 against 4.
    assert found == {"n": 2, "mae": pytest.approx(2 / 4.1 / 2), "obo": 0.5}


def test_what_is_missing_is_named():
    record = Annotation(video_id="v", path="v.mp4", count=3.0)
    with pytest.raises(ValueError, match="v: TransRAC's scorer needs cycles, fps and"):
        transrac_target.compared([record], [3.0])
    still = Annotation(video_id="s", path="s.mp4", count=0.0)
    with pytest.raises(ValueError, match="no labelled part has a repetition"):
        transrac_target.compared([still], [3.0])


def test_a_perfect_counter_on_the_official_test_set():
    path = OFFICIAL / "repcount_a_test.csv"
    if not path.is_file():
        pytest.skip("the official files are not at hand")
    records = datasets.read(f"repcount_a:{path}").annotations
    counts = [record.count for record in records]
    found = transrac_target.compared(records, counts)["perfect counter"]
    assert found["n"] == 151
    assert found["mae"] == pytest.approx(0.149, abs=5e-4)
    assert found["obo"] == pytest.approx(0.715, abs=5e-4)
