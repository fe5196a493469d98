"""Counting by a density as any estimator: chunks, states, protocols, nothing; with LMRL's network."""

import jax
import matplotlib
import numpy as np
import pytest

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.counting.options import chosen
from rac_jax.models.lmrl import FAMILY
from rac_jax.models.transrac import DensityOptions

SIZE, LENGTH = 16, 16
ARGUMENTS = {
    "encoder": "plain",
    "frames": LENGTH,
    "width": 0.0625,
    "places": 1,
    "lags": True,
}


@pytest.fixture(scope="module")
def counter():
    network = FAMILY.network(**ARGUMENTS)
    variables = FAMILY.initialise(network, jax.random.key(0))
    # Some density everywhere, so that something is counted.
    output = variables["params"]["predictor"]["output"]
    output["bias"] = output["bias"] + 1.0
    config = {"name": "tiny", "family": "lmrl", "preprocessing": {"size": SIZE}}
    return Counter(FAMILY, network, variables, config, batch_sizes=(2,))


def fed(counter, frames, cuts, protocol):
    info = SourceInfo("video", 0.0, 25.0, True, False)
    times = np.arange(len(frames)) / 25
    state = counter.estimator.start(info, DensityOptions(protocol=protocol))
    for part in np.split(np.arange(len(frames)), cuts):
        chunk = Chunk(frames[part], times[part], np.zeros(0, np.float32))
        before = state
        state, _ = counter.estimator.feed(state, chunk)
        # The state is a value: feeding does not change the one that was given.
        counter.estimator.feed(before, chunk)
    return counter.estimator.finish(state)


def video(frames):
    return np.random.default_rng(0).integers(0, 256, (frames, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("protocol", ["blended", "paper", "released"])
@pytest.mark.usefixtures("quick_compiling")
def test_any_chunking_gives_the_same(counter, protocol):
    frames = video(90)
    whole = fed(counter, frames, (), protocol)
    parts = fed(counter, frames, (1, 30, 33, 88), protocol)
    assert whole.density.values == pytest.approx(parts.density.values, abs=1e-6)
    assert whole.foreground.values == pytest.approx(parts.foreground.values)
    assert len(whole.density.values) == 90
    assert whole.rate.integral == pytest.approx(whole.count, abs=1e-6)
    assert sum(whole.density.values) == pytest.approx(whole.count, rel=0.02)
    if protocol == "blended":
        assert set(whole.details["stride_scores"]) == {"1", "2", "4", "8"}
    else:
        assert whole.count > 0.5
        assert whole.details == {"protocol": protocol, "sampled_frames": LENGTH}


@pytest.mark.parametrize("protocol", ["blended", "paper"])
def test_short_videos_and_nothing(counter, protocol):
    found = fed(counter, video(0), (), protocol)
    assert found.count == 0 and found.rate.per_s == ()
    for frames in (1, 2, LENGTH - 1):
        found = fed(counter, video(frames), (), protocol)
        assert len(found.density.values) == frames and np.isfinite(found.count)


def test_the_panel_is_drawn(counter):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = counter.count(video(60), fps=25.0, protocol="paper")
    figure, axes = plt.subplots()
    result.panel(axes, result)
    assert axes.images and axes.get_ylabel() == "seconds later"
    # An edge of a set and one for the end of each cycle.
    cycles = sum(len(one.cycles) for one in result.sets)
    assert len(axes.lines) == cycles + len(result.sets)
    plt.close(figure)


def test_options():
    config = {"preprocessing": {"size": 224, "interpolation": "bilinear"}}
    needs = FAMILY.needs(config, DensityOptions()).frames
    assert (needs.size, needs.interpolation) == ((224, 224), "bilinear")
    assert DensityOptions(stride=3).strides == (3,)
    with pytest.raises(ValueError, match="protocol: 'x' is not one of blended, paper"):
        chosen(DensityOptions(), "protocol", {"protocol": "x"})
