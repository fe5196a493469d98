"""The benchmark of skimming, with a counter that knows its film by heart."""

import pytest

from benchmarks import skim
from benchmarks.skim_scenes import Truth
from tests.counting.test_skim import SETS
from tests.counting.test_skimmer import Known, film

__all__ = ["film"]  # a fixture


def test_every_policy_is_measured_at_every_budget(film):
    counter = Known(hears=1.0)
    rows = skim.measure(counter, film, Truth(30.0, SETS), (0.09, 0.4), ("uniform",))
    found = {(row["policy"], row["budget"]): row for row in rows}
    assert len(found) == len(rows) == 6
    assert found["everything", 1.0]["count"] == found["believed", 1.0]["count"] == 30
    for budget, heard in ((0.09, True), (0.4, False)):
        row = found["skim", budget]
        assert row["count"] == pytest.approx(30, abs=0.01)
        assert row["overlap"] == pytest.approx(1, abs=0.02)
        assert (row["heard"] > 10) == heard and row["looked"] <= budget
        # What is heard to its ends is not missed.
        assert row["missed"] is False
    assert "missed" not in found["uniform", 0.4]
