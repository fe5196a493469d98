"""What `benchmarks/lowerings.py` compares are lowerings of the same convolution."""

import numpy as np
import pytest

from benchmarks import lowerings
from benchmarks.lowerings import Convolution

ZERO, ONE, THREE = (0, 0), (1, 1), (3, 3)
CASES = {
    "space": (
        Convolution((2, 3, 6, 5, 4), (1, 3, 3, 4, 2), (1, 1, 1), (ZERO, ONE, ONE)),
        ["3-D", "2-D", "taps", "filtering", "chosen"],
    ),
    "time": (
        Convolution((2, 5, 3, 2, 4), (3, 1, 1, 4, 2), (1, 1, 1), (ONE, ZERO, ZERO)),
        ["3-D", "2-D", "taps", "filtering", "chosen"],
    ),
    "time, 7, stride 2": (
        Convolution((1, 9, 2, 3, 4), (7, 1, 1, 4, 2), (2, 1, 1), (THREE, ZERO, ZERO)),
        ["3-D", "2-D", "taps", "chosen"],
    ),
    "both": (
        Convolution((1, 5, 6, 7, 2), (3, 3, 3, 2, 3), (1, 2, 2), (ONE, ONE, ONE)),
        ["3-D", "taps", "chosen"],
    ),
}


@pytest.mark.parametrize("convolution, names", CASES.values(), ids=CASES)
def test_lowerings_agree(convolution, names):
    rng = np.random.default_rng(0)
    x = rng.normal(size=convolution.x).astype(np.float32)
    kernel = rng.normal(size=convolution.kernel).astype(np.float32)
    found = lowerings.lowerings(convolution)
    assert list(found) == names
    want = found["3-D"](x, kernel)
    for convolve in found.values():
        np.testing.assert_allclose(convolve(x, kernel), want, atol=1e-4)


def test_encoders_convolutions():
    found = lowerings.convolutions("s3d", (1, 16, 64, 64, 3))
    stem = Convolution(
        (1, 16, 64, 64, 3), (1, 7, 7, 3, 64), (1, 2, 2), (ZERO, THREE, THREE)
    )
    assert found[stem] == 1
    # A factored stem and second layer, nine blocks of four pointwise and two factored ones.
    assert sum(found.values()) == 2 + 1 + 2 + 9 * (4 + 2 * 2)


@pytest.mark.slow
def test_every_lowering_and_gradient_is_timed():
    convolution, names = CASES["space"]
    for gradient in lowerings.GRADIENTS:
        spent = lowerings.measure(convolution, gradient, "float32", 1)
        assert list(spent) == names and min(spent.values()) > 0


def test_prints_a_row_per_convolution(capsys, monkeypatch):
    monkeypatch.setattr(
        lowerings, "convolutions", lambda *_: {c: 2 for c, _ in CASES.values()}
    )
    monkeypatch.setattr("sys.argv", ["lowerings", "--repeats", "1"])
    lowerings.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if "| 2 |" in line]
    assert len(rows) == len(CASES) and "5x3x2, 4 to 2, 3x1x1 | 2 | forward" in rows[1]
