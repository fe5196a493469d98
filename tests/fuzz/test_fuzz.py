import pathlib

import numpy as np
import pytest

from rac_jax.media import MediaError
from tests.fuzz.__main__ import run
from tests.fuzz.changes import damaged
from tests.fuzz.child import finding


@pytest.mark.parametrize("kind", ["media", "csv", "config"])
def test_damaged_files_give_one_line(kind):
    assert run(kind, seed=0, first=0, last=16) == []


def test_a_case_is_a_function_of_its_seed():
    data = bytes(range(256)) * 4
    made = [damaged(data, np.random.default_rng([0, case])) for case in (1, 1, 2)]
    assert made[0] == made[1] != data
    assert made[0] != made[2]


@pytest.mark.parametrize(
    "error, right",
    [
        (MediaError("/a/b.mp4: cut short"), True),
        (MediaError("cut short"), False),
        (ValueError("/a/b.mp4: cut\nshort"), False),
        (KeyError("b.mp4"), False),
        (MemoryError(), False),
    ],
)
def test_only_one_line_with_the_name_is_no_finding(error, right):
    assert (finding(error, pathlib.Path("/a/b.mp4")) is None) == right
