"""The whole system against PyTorch: relative error of everything that comes out."""

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import paper
from benchmarks.torch_reference.layers import randomise
from rac_jax.models.sight_sound import FAMILY, conversion

LIMIT = 1e-4


def relative_error(got, want):
    want = want.numpy()
    if want.ndim > 1:
        want = np.moveaxis(want, 1, -1)
    return float(np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want))


def test_system_in_the_papers_reading():
    """Both streams, both rankers and the reliability module, through the names we write."""
    network = randomise(paper.SightSound())
    module = FAMILY.network()
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    flat = conversion.whole_table(module).to_jax(state)
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(2, 8, 40, 44, 3)).astype(np.float32)
    sounds = rng.normal(size=(2, 65, 90)).astype(np.float32)
    with torch.inference_mode():
        want = network(
            torch.from_numpy(np.moveaxis(clips, -1, 1).copy()),
            torch.from_numpy(sounds[:, None]),
        )
    out = jax.jit(module.apply)(variables, clips, sounds)
    got = {
        "sight_count": out.sight.count,
        "sight_counts": out.sight.counts,
        "sight_classes": out.sight.classes,
        "sound_count": out.sound.count,
        "sound_counts": out.sound.counts,
        "sound_classes": out.sound.classes,
        "solo_score": out.sight.solo_score,
        "score": out.score,
        "reliability": out.reliability,
    }
    errors = {name: relative_error(got[name], want[name]) for name in want}
    print(errors)
    assert max(errors.values()) < LIMIT
