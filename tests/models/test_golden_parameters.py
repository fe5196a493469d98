"""Paths and shapes of every model's arrays: they are our public format.

After a change that is meant, write the lists anew with
`python -m tests.models.test_golden_parameters`.
"""

import pathlib

import flax.traverse_util
import pytest

from rac_jax.counting import programs
from rac_jax.encoders import ENCODERS, Encoder
from rac_jax.models import find_family

GOLDEN = pathlib.Path(__file__).parent / "golden"
MODELS = {
    "s3d": ("s3d", {}),
    "s3d_quarter": ("s3d", {"width": 0.25}),
    "r2plus1d18": ("r2plus1d18", {}),
    "r2plus1d18_half": ("r2plus1d18", {"width": 0.5}),
    "resnet18": ("resnet18", {}),
    "resnet50": ("resnet50", {}),
    "efficientnet_lite2": ("efficientnet_lite", {"width": 1.1, "depth": 1.2}),
    "strided_inflated": ("strided_inflated", {}),
    "strided_inflated_light": (
        "strided_inflated",
        {"kind": "mobilenet", "width": 1.0, "depth": 1.0},
    ),
    "strided_inflated_small": ("strided_inflated", {"width": 0.5, "depth": 1.0}),
    "classifier": ("classifier", {"encoder": "resnet50v2", "width": 0.25}),
    "compact": ("compact", {}),
    "gmflow": ("gmflow", {}),
    "gmflow_refined": ("gmflow", {"scales": 2, "refinements": 6}),
    "lmrl": ("lmrl", {}),
    "lmrl_small": ("lmrl", {"width": 0.25, "encoder": "plain", "places": 1}),
    "phase_flow": ("phase_flow", {}),
    "repnet_2020": (
        "repnet",
        {"periods": 32, "first_period": 1, "positions": "number"},
    ),
    "i3d": ("i3d", {}),
    "ms_g3d": ("ms_g3d", {}),
    "st_gcn": ("st_gcn", {}),
    "repnet_2024": ("repnet", {}),
    "repnet_small": (
        "repnet",
        {"periods": 33, "width": 0.25, "encoder": "plain", "places": 1},
    ),
    "sight_sound_paper": ("sight_sound", {}),
    "sight_sound_released": (
        "sight_sound",
        {
            "sight_encoder": "r2plus1d18",
            "sight_head": "expectation",
            "sound_head": "expectation",
            "ranker": "released",
            "reliability": "released",
            "use_sight_only_ranker": False,
        },
    ),
    "ta2net": ("ta2net", {}),
    "ta2net_small": (
        "ta2net",
        {
            "width": 0.125,
            "encoder": "lean",
            "beside": True,
            "kept": True,
            "centred": True,
            "squeezed": True,
            "places": 1,
        },
    ),
    "sien": ("sien", {"activities": 40}),
    "si_blazepose": ("sien", {"kind": "blazepose", "width": 1.0}),
    "transrac": ("transrac", {}),
    "video_swin": ("video_swin", {}),
}


def list_arrays(name: str) -> str:
    """A line per array: its path and its shape."""
    family, arguments = MODELS[name]
    maker = Encoder(family) if family in ENCODERS else find_family(family)
    network = maker.network(**arguments)
    variables = programs.abstract_variables(network, maker.example_inputs(network))
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    lines = [
        f"{path} {'x'.join(map(str, leaf.shape))}\n" for path, leaf in flat.items()
    ]
    return "".join(sorted(lines))


@pytest.mark.parametrize("name", MODELS)
def test_arrays(name):
    assert list_arrays(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    for model in MODELS:
        (GOLDEN / f"{model}.txt").write_text(list_arrays(model), encoding="utf-8")
