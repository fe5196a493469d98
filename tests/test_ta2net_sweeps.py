"""The sweeps of paper 4: complete, sound, of fields that the config has."""

import pytest

from rac_jax.cli import train
from rac_jax.train import settings, sweep_table
from tests.models.ta2net import tiny_run

SWEEPS = train.load_sweeps(str(tiny_run.CONFIG))


@pytest.mark.parametrize("name,rows", [("table4", 6), ("table5", 10)])
def test_a_sweep_is_sound(name, rows):
    sweep = SWEEPS[name]
    sweep_table.check_sweep(sweep)
    assert len(sweep["rows"]) == len(sweep["runs"]) == rows
    config = tiny_run.load_config("small")
    for changes in sweep["runs"].values():
        for field, value in changes.items():
            assert type(settings.find_field(config.to_dict(), field)) is type(value)
    # The last row is the whole of TA2Net, as the config has it.
    for field, value in list(sweep["runs"].values())[-1].items():
        assert settings.find_field(config.to_dict(), field) == value
    assert sweep["note"].endswith("0.616.")
