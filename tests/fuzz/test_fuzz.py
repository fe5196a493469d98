"""A few cases of every kind; `python -m tests.fuzz` runs as many as there is time for."""

import pytest

from tests.fuzz.__main__ import run
from tests.fuzz.kinds import KINDS

CASES = {"media": 20, "table": 200, "config": 40, "weights": 100}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_in_a_result_or_one_line(kind, tmp_path):
    assert run(KINDS[kind](tmp_path), seed=0, first=0, cases=CASES[kind]) == []
