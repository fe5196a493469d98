"""The quick GMFlow in PyTorch against the plain one, there and back."""

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import gmflow, quick_gmflow
from benchmarks.torch_reference.layers import randomise

NARROW = {"wide": (8, 12, 16), "blocks": 2, "hidden": 16}


def test_both_ways_of_every_pair_agree():
    plain = randomise(gmflow.GMFlow(**NARROW))
    gmflow.soften(plain)
    quick = quick_gmflow.QuickGMFlow(**NARROW).eval()
    quick.load_state_dict(plain.state_dict())
    # Windows of 3 x 2: half of one along a side is rounded.
    frames = 255 * torch.rand(3, 3, 48, 32)
    with torch.inference_mode():
        found = quick(frames)
        for pair in range(2):
            for way in range(2):
                wanted = plain(frames[pair], frames[pair + 1], back=way == 1)[-1]
                ours = found[way][pair].permute(1, 2, 0)
                assert (ours - wanted).abs().max() < 1e-4 * wanted.abs().max()
                assert wanted.std() > 0.1
