"""Reading the compact counter while a stream goes on: any cutting, any stop, nothing taken back."""

import pathlib

import numpy as np
import pytest

import rac_jax
from rac_jax.counting.live import LiveCount, live_counter
from rac_jax.counting.live_session import LiveSession
from rac_jax.counting.source import FileSource
from rac_jax.counting.state_files import load_state, save_state

SAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "sample.mp4"
# Few strides are quick, and enough for the sample.
OPTIONS = {"sound": False, "max_stride": 2}


@pytest.fixture(scope="module")
def counter():
    return live_counter(rac_jax.load("compact"))


@pytest.fixture(scope="module")
def frames(counter) -> tuple[np.ndarray, np.ndarray]:
    needs = counter.family.needs(counter.config, counter.options(**OPTIONS))
    chunks = list(FileSource(SAMPLE, needs).chunks())
    return (
        np.concatenate([chunk.frames for chunk in chunks]),
        np.concatenate([chunk.times_s for chunk in chunks]),
    )


def _live(counter, **changes) -> LiveCount:
    return LiveCount(counter, str(SAMPLE), 25.0, **OPTIONS | changes)


@pytest.fixture(scope="module")
def whole(counter, frames):
    """The sample fed frame by frame: (the count, what was said after every frame)."""
    live = _live(counter)
    said = [
        live.feed(frames[0][i : i + 1], frames[1][i : i + 1])
        for i in range(len(frames[0]))
    ]
    return live, said


def test_cycles_are_said_soon_after_they_end(whole):
    """The labelled ends of `examples/sample.json`."""
    said = whole[1]
    ends_s = [2.22, 3.04, 3.92, 4.78, 5.51, 6.41, 7.35]
    told_s = [next(o.until_s for o in said if o.count >= k) for k in range(1, 8)]
    late = np.array(told_s) - ends_s
    # The first one is known when there is a second; none comes half a cycle early.
    assert late[0] < 1.0
    assert np.all(late[1:] < 0.5)
    assert np.all(late > -0.4)
    assert said[-1].count == 7
    assert [one.settled for one in said] == sorted(one.settled for one in said)


def test_a_stream_is_concluded_into_what_a_file_is_counted(whole, counter):
    result = whole[0].finish()
    file = counter.count(SAMPLE, **OPTIONS)
    assert result.count == pytest.approx(file.count, abs=1e-4)
    assert result.to_dict().keys() == file.to_dict().keys()
    assert result.duration_s == pytest.approx(file.duration_s, abs=0.05)
    assert len(result.sets) == len(file.sets)


def test_what_was_not_told_is_said_at_the_end(counter, monkeypatch):
    monkeypatch.setattr("rac_jax.models.compact.causal.is_told", lambda *_: False)
    shown = []
    session = LiveSession(counter, str(SAMPLE), late_s=60.0, **OPTIONS)
    result = session.run(shown.append)
    *before, last = shown
    assert {moment.said.count for moment in before} == {0}
    assert last.over and last.said.count == last.said.settled == result.rounded == 7


def test_any_cutting_says_the_same(whole, counter, frames):
    rng = np.random.default_rng(3)
    live, first = _live(counter), 0
    while first < len(frames[0]):
        last = first + int(rng.integers(0, 40))
        said = live.feed(frames[0][first:last], frames[1][first:last])
        first = last
    assert (said.count, said.settled, said.sets) == (
        whole[1][-1].count,
        whole[1][-1].settled,
        whole[1][-1].sets,
    )
    assert live.finish().count == pytest.approx(whole[0].finish().count, abs=1e-4)


def test_late_readings_are_left_out_and_the_end_is_the_same(whole, counter, frames):
    live = _live(counter)
    for first in range(0, len(frames[0]), 30):
        part = slice(first, first + 30)
        said = live.feed(frames[0][part], frames[1][part], late=True)
    assert said.count == 7
    assert live.finish().count == pytest.approx(whole[0].finish().count, abs=1e-4)


def test_a_state_goes_to_disk_and_back(whole, counter, frames, tmp_path):
    live = _live(counter)
    live.feed(frames[0][:117], frames[1][:117])
    save_state(tmp_path / "state", live.state, counter.estimator)
    other = _live(counter)
    other.state = load_state(tmp_path / "state", counter.estimator)
    other.frames, other.said = live.frames, live.said
    said = other.feed(frames[0][117:], frames[1][117:])
    assert said.count == whole[1][-1].count
    assert other.finish().count == pytest.approx(whole[0].finish().count, abs=1e-4)


def test_a_state_of_another_kind_is_refused(counter, tmp_path):
    import pickle

    for text in (b"", b"nothing", pickle.dumps(pathlib.Path("x"))):
        (tmp_path / "state").write_bytes(text)
        with pytest.raises(ValueError, match="state: is no state of this model"):
            load_state(tmp_path / "state", counter.estimator)


def test_what_is_unsure_or_trembles_is_not_told():
    from rac_jax.models.compact.causal import is_told
    from rac_jax.models.compact.decoder import PeriodSet

    def told(count, score, per_s=1.0, cut=False):
        edges = np.array([0.0, 10.0])
        return is_told(PeriodSet(0, 10, count, score, edges), per_s, cut)

    assert told(2.0, 0.8)
    assert not told(2.0, 0.5)
    assert not told(1.9, 0.8)
    # Many are less of an accident, and one that began before may be longer.
    assert told(5.0, 0.6)
    assert not told(5.0, 0.5)
    assert told(1.0, 0.5, cut=True)
    assert not told(20.0, 0.9, per_s=4.0)


@pytest.mark.parametrize(
    "margin, first, cut",
    [(0, 0, False), (128, 0, True), (128, 128, True), (128, 129, False)],
)
def test_the_start_of_a_stream_cuts_no_set(margin, first, cut):
    from rac_jax.models.compact.causal import Recent
    from rac_jax.models.compact.decoder import PeriodSet

    recent = Recent(None, None, frames=400, margin=margin, since_s=0.0)
    one = PeriodSet(first, 300, 5.0, 0.5, np.array([0.0, 300.0]))
    assert recent.cuts(one) == cut


def test_an_hour_is_read_as_fast_as_a_minute(counter, frames):
    """What is decoded does not grow; a long set is carried on."""
    from rac_jax.models.compact import causal

    live = _live(counter, max_stride=1)
    part = frames[0][36:184]  # the repetitions alone
    for turn in range(9):
        live.feed(part, turn * len(part) / 25 + np.arange(len(part)) / 25, late=True)
    recent = causal.look(live.state.copy(), counter.estimator.networks.sight)
    assert recent.frames <= causal.RECENT_STEPS * 4
    assert recent.since_s > 10
    assert live.said.count == pytest.approx(9 * 7, abs=6)
