"""Our way to count with RepNet: strides chosen along time, any chunking, any length."""

import numpy as np
import pytest

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.counting.options import chosen
from rac_jax.models.repnet import FAMILY, RepNetOptions, blended

PERIODS, LENGTH = 17, 16


def rows_of(frames, stride, spans):
    """What a network would say that knows everything: (first, end, period) in video frames."""
    number = -(-frames // stride)
    rows = np.zeros((number, PERIODS + 1))
    place = np.arange(number) * stride
    for first, end, period in spans:
        own = period / stride
        if not 3 <= own <= PERIODS - 2:
            continue
        low = int(own)
        inside = (place >= first) & (place < end)
        rows[inside, low] = 1 - (own - low)
        rows[inside, low + 1] = own - low
        rows[inside, -1] = 1.0
    quiet = rows[:, :-1].sum(1) == 0
    rows[quiet, :-1] = 1 / PERIODS
    return rows


def test_sets_of_other_tempi_have_strides_of_their_own():
    spans = [(40, 240, 5.0), (300, 600, 42.5)]
    rows = {s: rows_of(640, s, spans) for s in (1, 2, 3, 4)}
    found = blended.count(rows, 640, 0)
    assert found.rate[50:230] == pytest.approx(1 / 5.0, rel=0.01)
    assert found.rate[340:560] == pytest.approx(1 / 42.5, rel=0.01)
    assert (found.rate[:8] == 0).all() and (found.rate[632:] == 0).all()
    assert set(found.stride[350:550]) == {3} or set(found.stride[350:550]) == {4}
    assert found.rate.sum() == pytest.approx(40 + 300 / 42.5, abs=0.8)


def test_the_period_is_that_of_the_likeliest_class_and_its_neighbours():
    rows = np.zeros((2, PERIODS))
    rows[0, 4:6] = 0.6, 0.3
    rows[0, 12] = 0.1
    rows[1, 7] = 1.0
    found = blended.mean_period(rows, 0)
    np.testing.assert_allclose(found, [(4 * 0.6 + 5 * 0.3) / 0.9, 7.0])
    np.testing.assert_allclose(blended.mean_period(rows, 1), found + 1)


@pytest.fixture(scope="module")
def counter():
    import jax

    network = FAMILY.network(periods=PERIODS, width=0.125, frames=LENGTH)
    variables = FAMILY.initialise(network, jax.random.key(0))
    config = {"name": "tiny", "family": "repnet", "preprocessing": {"size": 16}}
    return Counter(FAMILY, network, variables, config, batch_sizes=(2,))


def fed(counter, frames, cuts, protocol):
    info = SourceInfo("video", 0.0, 25.0, True, False)
    times = np.arange(len(frames)) / 25
    state = counter.estimator.start(info, RepNetOptions(protocol=protocol))
    for part in np.split(np.arange(len(frames)), cuts):
        chunk = Chunk(frames[part], times[part], np.zeros(0, np.float32))
        before = state
        state, _ = counter.estimator.feed(state, chunk)
        # The state is a value: feeding does not change the one that was given.
        counter.estimator.feed(before, chunk)
    return counter.estimator.finish(state)


@pytest.mark.parametrize("protocol", ["blended", "released"])
@pytest.mark.usefixtures("quick_compiling")
def test_any_chunking_gives_the_same(counter, protocol):
    frames = np.random.default_rng(0).integers(0, 256, (90, 16, 16, 3), np.uint8)
    whole = fed(counter, frames, (), protocol)
    assert whole.foreground.values == pytest.approx(
        fed(counter, frames, (1, 30, 33, 88), protocol).foreground.values
    )
    assert len(whole.foreground.values) == 90
    assert whole.rate.integral == pytest.approx(whole.count, abs=1e-6)
    assert set(whole.details["stride_scores"]) == {"1", "2", "3", "4"}


def test_nothing_is_counted_in_nothing(counter):
    found = fed(counter, np.zeros((0, 16, 16, 3), np.uint8), (), "blended")
    assert found.count == 0 and found.rate.per_s == ()


def test_options_and_needs():
    config = {"preprocessing": {"size": 112, "resized_from": 224}, "protocol": "x"}
    needs = FAMILY.needs(config, RepNetOptions()).frames
    assert (needs.size, needs.interpolation) == ((224, 224), "bilinear")
    assert RepNetOptions(stride=3).strides == (3,)
    with pytest.raises(ValueError, match="protocol: 'x' is not one of blended, rel"):
        chosen(RepNetOptions(), "protocol", config)
    assert chosen(RepNetOptions(), "protocol", {}) == "blended"
    assert chosen(RepNetOptions(), "protocol", {"protocol": "released"}) == "released"
    asked = RepNetOptions(protocol="blended")
    assert chosen(asked, "protocol", {"protocol": "released"}) == "blended"
