"""RepNet on procedural scenes, or on clips of unlabelled videos that are repeated.

    rac train --config configs/repnet.py:small --workdir W
    rac train --config configs/repnet.py --workdir W
    rac train --config configs/repnet.py:unlabelled --workdir W --config.data.train.path DIR

The authors never released how they train. `full` has the sizes of their release of 2024, on
scenes that are rendered in the step: a GPU or more. `unlabelled` repeats clips of any folder of
videos. `small` is a lean encoder and a quarter of the width on 64 pixels, for two CPU cores.
"""

import ml_collections


def _split(kind: str, number: int, seed: int) -> dict:
    lengths = {
        "brief": {"frames": 72, "fps": 25.0, "period": (5.0, 26.0)},
        "short": {"frames": 240, "fps": 25.0, "period": (5.0, 75.0)},
        "long": {"frames": 480, "fps": 30.0, "period": (6.0, 110.0)},
    }
    common = {"still": 0.2, "pause": 0.35, "max_cycles": 100}
    parts = {
        name: {"number": number} | fields | common for name, fields in lengths.items()
    }
    return {
        "kind": kind,
        "path": "",
        "split": "",
        "number": 0,
        "seed": seed,
        "scenes": {},
        "parts": parts if kind == "scenes" else {},
    }


def full() -> ml_collections.ConfigDict:
    """The published sizes, on scenes."""
    config = ml_collections.ConfigDict()
    config.family = "repnet"
    config.name = "repnet"
    config.seed = 0
    # "auto": bfloat16 convolutions over pixels on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with; --config.start.encoder=MODEL for the ResNet alone.
    config.start = {"model": ""}
    config.model = {
        "periods": 64,
        "first_period": 0,
        "positions": "vector",
        "frames": 64,
        "width": 1.0,
        "encoder": "resnet50v2",
        "blocks": (3, 4, 3),
        "frozen": False,
        "places": 3,
        "lags": False,
    }
    # As what the model counts: "blended" or "released".
    config.counting = {"protocol": "blended"}
    # Weight of the periodicity's cross entropy beside the period's.
    config.loss = {"periodicity": 2.0}
    config.data = {
        "size": 112,
        "audio_rate": 22050,
        "workers": 2,
        "cache": "",
        # Where features of a frozen encoder are stored; "" for in the workdir.
        "features": "",
        "train": _split("scenes", 4, 1),
        "val": _split("scenes", 12, 2),
        "test": _split("scenes", 60, 3),
    }
    config.windows = {
        # Or "repeated_clips", of the videos of data.train.
        "examples": "scenes",
        "epochs": 20,
        "epoch_steps": 1000,
        "batch": 16,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "adamw",
            "learning_rate": 3e-4,
            "momentum": 0.0,
            "weight_decay": 1e-4,
            "clip": 1.0,
            "schedule": "cosine",
            "warmup": 200,
        },
        "evaluate_epochs": 2,
        "keep_best": False,
        "log_steps": 20,
        "checkpoint_steps": 500,
        # With a frozen encoder: of so many epochs its features are stored, once, and learned from
        # again and again; 0 for windows drawn anew all the time.
        "stored_epochs": 0,
        # Probability that a window ends early, and how much the camera moves beside what the
        # scenes have.
        "padded": 0.15,
        "camera": 0.0,
        "scenes": {
            "repeats": {
                "share": 0.6,
                "period": (3.0, 32.0),
                "cut": 0.35,
                "still": 0.1,
                "pause": 0.3,
                "picture_damage": 0.1,
            },
            # Too slow or too fast for the stride: not periodic here.
            "slow": {
                "share": 0.2,
                "period": (1.2, 160.0),
                "cut": 1.0,
                "still": 0.1,
                "max_cycles": 64,
            },
            # Nothing repeats, but much moves.
            "still": {"share": 0.2, "still": 1.0, "camera": 2.0, "distractor": 0.7},
        },
    }
    return config


def small() -> ml_collections.ConfigDict:
    """A lean encoder and a quarter of the width, for two CPU cores."""
    config = full()
    config.name = "repnet-small"
    config.model.update(
        {"periods": 33, "width": 0.25, "encoder": "plain", "places": 1, "lags": True}
    )
    config.data.size, config.data.workers = 64, 0
    config.windows.update(
        {"epochs": 4, "epoch_steps": 400, "batch": 8, "evaluate_epochs": 4}
    )
    config.windows.optimiser.update({"learning_rate": 1e-3, "warmup": 100})
    return config


def unlabelled() -> ml_collections.ConfigDict:
    """Clips of a folder of videos, repeated; validated and tested on scenes."""
    config = full()
    config.name = "repnet-unlabelled"
    config.data.train.update({"kind": "folder", "parts": {}})
    config.windows.update(
        {"examples": "repeated_clips", "epoch_steps": 0, "epochs": 200, "camera": 0.15}
    )
    return config


VARIANTS = {"": full, "small": small, "unlabelled": unlabelled}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
