"""Marking events beside PyTorch: its windows, pictures and joining are ours, and what is refused."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks import live_load
from benchmarks.compare.run import BenchError
from benchmarks.events_run import __main__ as events_run
from benchmarks.events_run.sizes import Sizes
from benchmarks.torch_reference import event_marker
from rac_jax.counting.frame_windows import WindowAssembler
from rac_jax.counting.window_runs import WindowAverager
from rac_jax.models.ta2net import kinematics

LENGTH = 8


@pytest.mark.parametrize("frames", [5, 8, 9, 12, 21])
def test_windows_are_cut_and_joined_as_ours(frames):
    video = np.random.default_rng(0).integers(0, 256, (frames, 2, 2, 3), np.uint8)
    assembler = WindowAssembler((1,), LENGTH, LENGTH // 2)
    ours = [*assembler.feed(video, np.arange(frames) / 25), *assembler.finish()]
    theirs = list(event_marker.windows(map(torch.from_numpy, video), LENGTH))
    assert [(w.start, w.valid) for w in ours] == [one[:2] for one in theirs]
    averager, joined = WindowAverager(LENGTH, 1), event_marker.JoinedWindows(LENGTH)
    rng = np.random.default_rng(1)
    for window, (start, valid, pixels) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(window.frames, pixels.numpy())
        values = rng.uniform(size=LENGTH).astype(np.float32)
        averager.add(start, valid, values[:, None])
        joined.add(start, valid, torch.from_numpy(values))
    wanted = averager.finish()[:, 0]
    assert len(wanted) == frames
    # Ours are kept in half precision.
    np.testing.assert_allclose(joined.joined(), wanted, atol=3e-4)


def test_pictures_of_flow_are_ours():
    flow = np.random.default_rng(0).normal(size=(2, 12, 10, 2)).astype(np.float32)
    flow[0, :3] = 0
    flow[1] = 0
    planes = torch.from_numpy(flow).permute(0, 3, 1, 2)
    found = event_marker.flow_pictures(planes, event_marker.hue_wheel())
    wanted = jax.jit(kinematics.colours)(flow)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), wanted, atol=1e-5)


def test_sides_that_disagree_are_not_timed():
    theirs = np.linspace(0.4, 0.6, 20)
    assert events_run.check_probabilities(theirs + 9e-4, theirs) == pytest.approx(9e-4)
    for ours, other, message in (
        (theirs + 2e-3, theirs, "0.002 apart"),
        (np.full(20, np.nan), theirs, "nan apart"),
        (theirs[1:], theirs, "19 frames here, 20 there"),
        (theirs, 0.5 + theirs / 100, "alike: a standard deviation of 0.0006"),
    ):
        with pytest.raises(BenchError, match=message):
            events_run.check_probabilities(ours, other)


def test_a_table_by_hand():
    def rounds(*walls):
        return [{"wall_s": wall, "cpu_s": 2 * wall, "events": 3} for wall in walls]

    found = {
        "built": {
            "ours": {"way": "jit", "first_s": 31.4},
            "reference": {"way": "eager", "first_s": 9.0},
        },
        "mark": {"ours": rounds(4, 5, 9), "reference": rounds(10, 20, 30)},
        "flow": {"ours": rounds(1), "reference": rounds(2)},
        "mb": {"ours": 700.4, "reference": 1300},
    }
    lines = events_run.table(found, 10.0).splitlines()
    assert len(lines) == 6
    assert lines[2] == (
        "| whole, ours (jit) | 2.00 | 5.0 (4.0-9.0) | 10.0 (8.0-18.0) | 700 | 31 |"
    )
    assert "| flow alone, PyTorch (eager) | 5.00 | 2.0 (2.0-2.0) |" in lines[5]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compiling")
def test_a_small_network_is_the_same_on_both_sides(tmp_path, monkeypatch):
    from benchmarks.events_run import ours, reference

    sizes = Sizes(LENGTH, 32, 0.125, 0.125, 2)
    narrow = {"width": sizes.flow_width, "blocks": sizes.flow_blocks}
    monkeypatch.setitem(kinematics.NETWORKS, "gmflow", narrow)
    video = tmp_path / "video.mp4"
    live_load.write_sample(video, 0.8)
    theirs = reference.Side(str(video), tmp_path, ("eager", "channels_last"), sizes)
    own = ours.Side(str(video), tmp_path, (), sizes)
    probable = theirs.probabilities()
    assert len(probable) == 20 and set(theirs.way_s) == {"eager", "channels_last"}
    # Where flow's last bits are rounded another way, a narrow network of few frames notices more.
    assert np.std(probable) > 0.1
    np.testing.assert_allclose(own.probabilities(), probable, atol=0.02)
    assert own.mark() == theirs.mark()
    assert own.hold_windows() == theirs.hold_windows() == 4
    own.flow()
    theirs.flow()
