"""Events of a stream: peaks, cells, any chunking, and what the options change."""

import jax
import numpy as np
import pytest

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.models.ta2net import FAMILY, EventOptions
from rac_jax.models.ta2net.peaks import event_sets, peak_frames

pytestmark = pytest.mark.usefixtures("quick_compiling")

FRAMES, SIZE = 16, 16
CONFIG = {
    "name": "tiny",
    "family": "ta2net",
    "preprocessing": {"size": SIZE},
}


def test_peaks_lie_apart_and_may_be_at_the_ends():
    probability = np.zeros(30)
    probability[[0, 8, 10, 20, 21, 29]] = [0.9, 0.6, 0.7, 0.8, 0.8, 0.55]
    probability[15] = 0.4
    assert peak_frames(probability, 0.5).tolist() == [0, 10, 20, 29]
    assert peak_frames(probability, 0.35).tolist() == [0, 10, 15, 20, 29]
    assert peak_frames(np.zeros(0), 0.5).tolist() == []


def test_every_event_has_a_cycle():
    times = np.asarray([1.0, 2.0, 3.2, 12.0, 13.0])
    sets = event_sets(times, 0.0, 13.1)
    assert [one.count for one in sets] == [3, 2]
    cycles = [cycle for one in sets for cycle in one.cycles]
    assert all(a < t < b for t, (a, b) in zip(times, cycles, strict=True))
    assert sets[1].end_s == 13.1
    assert event_sets(np.zeros(0), 0.0, 1.0) == ()
    (alone,) = event_sets(np.asarray([0.0]), 0.0, 2.0)
    assert alone.cycles == ((0.0, 0.25),)


@pytest.fixture(scope="module")
def counter():
    network = FAMILY.network(
        encoder="lean", width=0.0625, frames=FRAMES, flow="tv_l1_quick", beside=True
    )
    variables = FAMILY.initialise(network, jax.random.key(0))
    return Counter(FAMILY, network, variables, CONFIG, batch_sizes=(2, 1))


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (45, SIZE, SIZE, 3), np.uint8)


def test_any_chunking_marks_the_same(counter, pixels):
    estimator = counter.estimator
    times = np.arange(len(pixels)) / 25
    info = SourceInfo("x", 0.0, 25.0, True, False)
    # Untrained probabilities lie close together.
    options = EventOptions(threshold=0.0)
    found = []
    for sizes in ((45,), (1, 20, 24), (16, 16, 13)):
        state, done = estimator.start(info, options), 0
        for size in sizes:
            part = slice(done, done + size)
            chunk = Chunk(pixels[part], times[part], np.zeros(0, np.float32))
            # What was given is not changed.
            estimator.feed(state, chunk)
            state, _ = estimator.feed(state, chunk)
            done += size
        found.append(estimator.finish(state))
    for one in found:
        assert one.events == found[0].events
        np.testing.assert_allclose(
            one.details["strengths"], found[0].details["strengths"], atol=2e-3
        )
    assert len(found[0].density.values) == 45
    assert found[0].count == sum(found[0].density.values) == len(found[0].events) > 2
    assert all(0 <= v <= 1 for place in found[0].details["places"] for v in place)


def test_result_and_options(counter, pixels):
    result = counter.count(pixels, fps=25.0, threshold=0.0)
    assert result.count == len(result.events) == len(result.details["places"])
    assert sum(one.count for one in result.sets) == result.count
    by_map = counter.count(pixels, fps=25.0, threshold=0.0, place="map")
    assert by_map.events == result.events
    assert by_map.details["places"] != result.details["places"]
    assert counter.count(pixels, fps=25.0, threshold=1.0).events == ()
    for few in (1, 3):
        short = counter.count(pixels[:few], fps=25.0)
        assert short.density is not None and len(short.density.values) == few
    with pytest.raises(ValueError, match="threshold: 1.5 is not from 0 to 1"):
        counter.count(pixels, fps=25.0, threshold=1.5)
