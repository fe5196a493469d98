"""SI-EN's estimator: any cutting, a state on disk, and what a file becomes."""

import pickle

import numpy as np
import pytest

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.models.sien import FAMILY, RELEASED, SIENOptions
from tests.conftest import moving_square, random_variables

pytestmark = pytest.mark.usefixtures("quick_compiling")
CONFIG = {
    "name": "tiny",
    "family": "sien",
    "arguments": {"width": 0.1, "depth": 0.5, "head": 32, "phases": 3},
    "preprocessing": RELEASED | {"size": 24},
    "scheme": "halves",
}


@pytest.fixture(scope="module")
def counter():
    network = FAMILY.network(**CONFIG["arguments"])
    variables = random_variables(network, 0, "sien")
    # Its phases come and go with what it sees.
    kernel = variables["params"]["phase_head"]["kernel"]
    variables["params"]["phase_head"]["kernel"] = 4 * kernel
    return Counter(FAMILY, network, variables, CONFIG)


def test_any_cutting_gives_the_same_also_from_disk(counter):
    estimator = counter.estimator
    frames = moving_square(75, 24, 24, period=11.0)
    times_s = 1.0 + np.arange(75) / 25

    def fed(cuts, options):
        info = SourceInfo("test", 1.0, 25.0, True, False)
        state, counts = estimator.start(info, options), []
        for part in np.split(np.arange(75), cuts):
            chunk = Chunk(frames[part], times_s[part], np.zeros(0, np.float32))
            state, partial = estimator.feed(state, chunk)
            counts.append(partial.count)
            state = pickle.loads(pickle.dumps(state))
        first = estimator.finish(state)
        # Asked again, it says the same.
        assert estimator.finish(state) == first
        return first, counts

    for options in (SIENOptions(), SIENOptions(decoder="thresholds")):
        whole, _ = fed((), options)
        other, counts = fed((1, 2, 7, 30, 31), options)
        assert other.count == whole.count and other.sets == whole.sets
        assert counts == sorted(counts) and counts[-1] <= whole.count
        assert len(whole.foreground.values) == 12
        np.testing.assert_allclose(
            other.foreground.values, whole.foreground.values, atol=1e-5
        )
        assert other.foreground.times_s == whole.foreground.times_s
    # The first prediction is of the fourth frame at 16 per second.
    assert whole.foreground.times_s[0] == pytest.approx(1 + 3 / 16)
    assert whole.end_s == pytest.approx(4.0)


def test_a_file_is_counted(counter, clip):
    result = counter.count(clip)
    assert result.rate.integral == pytest.approx(result.count)
    assert result.details["scheme"] == "halves"
    assert sum(result.details["phases"].values()) == pytest.approx(1, abs=1e-5)
    assert sum(one.count for one in result.sets) == result.count
    one = counter.count(np.zeros((1, 24, 24, 3), np.uint8), fps=25.0)
    assert one.count == 0 and one.sets == ()


def test_what_cannot_count_is_refused():
    for arguments, config, message in (
        ({"phases": 0}, {}, "phases: the model has none, so it cannot count"),
        ({"phases": 5}, {}, "phases: 5, the scheme halves has 3"),
    ):
        network = FAMILY.network(**(CONFIG["arguments"] | arguments))
        with pytest.raises(ValueError, match=message):
            FAMILY.estimator(network, {}, CONFIG | config)
