"""What counting live costs is measured of a stream, and beside a busy process."""

import pytest

import rac_jax
from benchmarks import live_load
from rac_jax.counting.live import live_counter


@pytest.mark.slow
def test_a_stream_is_flooded_and_paced(tmp_path, capsys):
    counter = live_counter(rac_jax.load("frame-differences"))
    live_load.write_sample(tmp_path / "a.mp4")
    live_load.flood(counter, 4 / 60, tmp_path / "a.mp4", 0.0)
    said = capsys.readouterr().out
    assert "with a reading (16)" in said and "without one (84)" in said
    live_load.paced(counter, 2.0, 1, 1.0)
    said = capsys.readouterr().out
    assert "beside 1 busy processes" in said and "dropped" in said
