"""One process alone; several are in `test_resume`."""

import numpy as np
import pytest

from rac_jax.train import hosts


def test_one_process_computes_every_row_once_and_in_order():
    asked = []

    def some(places):
        asked.extend(places)
        return [[index / 3, -index] for index in places]

    rows = hosts.share_out(4, some)
    assert asked == [0, 1, 2, 3] and rows.dtype == np.float64
    np.testing.assert_array_equal(rows, [[i / 3, -i] for i in range(4)])


def test_no_rows_ask_nobody():
    rows = hosts.share_out(0, lambda places: pytest.fail("was asked"))
    assert rows.shape == (0, 0)


def test_nobody_waits_for_one_process():
    hosts.barrier("alone")


def test_processes_must_be_numbered():
    with pytest.raises(ValueError, match="--num_processes=2 needs --coordinator"):
        hosts.start(None, 2, 0)
    with pytest.raises(ValueError, match="--process_id from 0 to 1"):
        hosts.start("localhost:1", 2, 2)
