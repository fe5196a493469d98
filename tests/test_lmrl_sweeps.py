"""The sweeps of paper 2: complete, sound, of fields that the config has, with the paper's numbers."""

import pytest

from rac_jax.cli import train
from rac_jax.train import settings, sweep_table
from tests.models.transrac import tiny_run

SWEEPS = train.load_sweeps(str(tiny_run.CONFIGS / "lmrl.py"))


def test_all_tables_are_there():
    assert list(SWEEPS) == ["table2", "table3", "table4"]
    assert [len(sweep["rows"]) for sweep in SWEEPS.values()] == [5, 5, 4]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_is_sound(name):
    sweep = SWEEPS[name]
    sweep_table.check_sweep(sweep)
    config = tiny_run.load_config("lmrl", "small")
    for changes in sweep["runs"].values():
        for field, value in changes.items():
            assert type(settings.find_field(config.to_dict(), field)) is type(value)
    # The whole of LMRL is one row of each table.
    best = [
        row["name"]
        for row in sweep["rows"]
        if [cell["paper"] for cell in row["cells"].values()] == [0.42, 0.3816]
    ]
    assert len(best) == 1
