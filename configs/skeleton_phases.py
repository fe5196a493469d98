"""ST-GCN and MS-G3D counting phases of skeletons, on procedural scenes with people.

    rac train --config configs/skeleton_phases.py:st-gcn --workdir W
    rac train --config configs/skeleton_phases.py:ms-g3d --workdir W
    rac train --config configs/skeleton_phases.py:small --workdir W
    rac train --config configs/skeleton_phases.py:ms-g3d-small --workdir W

Paper 3's comparison with poses. The first two have the published sizes and learn from 33 joints, on
a GPU; `small` is minutes of a narrow ST-GCN on two CPU cores, `ms-g3d-small` of a narrow MS-G3D,
`quick` the first half of `small`. Their test scenes are those of
`configs/sien.py:people`, of which SI-EN sees the pictures. OpenPose's joints:
`--config.model.layout=openpose-18`. Schemes: `--config.counting.scheme=middles
--config.model.phases=4`, or `ends` and 3.
"""

import ml_collections

KINDS = ("figure",)  # people


def _split(number: int, seed: int) -> dict:
    scenes = {"kinds": KINDS, "still": 0.1, "pause": 0.3, "max_cycles": 40}
    part = {"number": number, "frames": 240, "fps": 25.0, "period": (18.0, 75.0)}
    return {
        "kind": "scenes",
        "path": "",
        "split": "",
        "number": 0,
        "seed": seed,
        "scenes": {},
        "parts": {"exercises": part | scenes},
    }


def st_gcn() -> ml_collections.ConfigDict:
    """ST-GCN as published."""
    config = ml_collections.ConfigDict()
    config.family = "skeleton_phases"
    config.name = "st-gcn"
    config.seed = 0
    # "auto": bfloat16 convolutions on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    config.keep_memory = True
    # A model to begin with; --config.start.encoder=MODEL for the encoder alone.
    config.start = {"model": ""}
    config.model = {
        "encoder": "st_gcn",
        "layout": "blazepose-33",
        "width": 1.0,
        "scales": 8,
        "window_scales": 8,
        "phases": 3,
    }
    config.input = {"fps": 16.0}
    # "ends", "middles" or "halves"; "argmax" or "thresholds".
    config.counting = {"scheme": "halves", "decoder": "argmax"}
    # Weight of the class that most frames have, with "ends" and "middles".
    config.loss = {"frequent": 0.2}
    config.data = {
        # Of pictures that nobody looks at: only the poses of these scenes are used.
        "size": 16,
        "audio_rate": 22050,
        "workers": 0,
        "cache": "",
        "train": _split(4, 1),
        "val": _split(20, 2),
        "test": _split(100, 3),
    }
    config.clips = {
        "epochs": 10,
        "epoch_steps": 250,
        "batch": 32,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "adamw",
            "learning_rate": 1e-3,
            "momentum": 0.0,
            "weight_decay": 1e-4,
            "clip": 1.0,
            "schedule": "cosine",
            "warmup": 100,
        },
        "evaluate_epochs": 2,
        "keep_best": False,
        "log_steps": 20,
        "checkpoint_steps": 500,
        "frames": 88,
        # Clips that follow each other in time.
        "together": 4,
        # Whether a simulated camera moves before the poses.
        "camera": True,
        "scenes": {
            "whole": {
                "share": 0.5,
                "kinds": KINDS,
                "period": (12.0, 40.0),
                "still": 0.1,
                "pause": 0.3,
            },
            "cut": {
                "share": 0.5,
                "kinds": KINDS,
                "period": (12.0, 56.0),
                "cut": 1.0,
                "still": 0.1,
            },
        },
    }
    return config


def ms_g3d() -> ml_collections.ConfigDict:
    """MS-G3D as published for Kinetics."""
    config = st_gcn()
    config.name = "ms-g3d"
    config.model.encoder = "ms_g3d"
    return config


def small() -> ml_collections.ConfigDict:
    """A narrow ST-GCN, for two CPU cores."""
    config = st_gcn()
    config.name = "st-gcn-small"
    config.model.width = 0.25
    config.data.val.parts.exercises.number = 10
    config.clips.update({"epochs": 4, "epoch_steps": 100, "batch": 16})
    config.clips.evaluate_epochs = 4
    return config


def ms_g3d_small() -> ml_collections.ConfigDict:
    """A narrow MS-G3D of fewer scales, for two CPU cores."""
    config = small()
    config.name = "ms-g3d-small"
    config.model.update({"encoder": "ms_g3d", "scales": 4, "window_scales": 3})
    return config


def quick() -> ml_collections.ConfigDict:
    """`small` for half as long: it shows that it learns, no more."""
    config = small()
    config.name = "st-gcn-quick"
    config.data.test.parts.exercises.number = 20
    config.clips.update({"epochs": 2, "evaluate_epochs": 2})
    return config


VARIANTS = {
    "": st_gcn,
    "st-gcn": st_gcn,
    "ms-g3d": ms_g3d,
    "small": small,
    "ms-g3d-small": ms_g3d_small,
    "quick": quick,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
