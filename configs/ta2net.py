"""TA2Net: which frames of a silent video should be heard, on scenes or on videos with labels.

    rac train --config configs/ta2net.py:small --workdir W
    rac train --config configs/ta2net.py --workdir W
    rac train --config configs/ta2net.py:paper --workdir W \
        --config.data.train.path=audible623:data_train.csv,videos=DIR \
        --config.data.val.path=audible623:data_eval.csv,videos=DIR \
        --config.data.test.path=audible623:data_eval.csv,videos=DIR

`full` (no name) is the published network with flow in pixels, on scenes that are rendered in the
step: a GPU. `paper` is the paper's training on Audible623, from ImageNet's ResNet-50 for pictures
(`rac convert resnet50-imagenet`, `--config.start.image_encoder/resnet50=MODEL`); `released` is that
as the authors' code has it. `small` is for two CPU cores, `quick` the same for a few steps.
"""

import ml_collections

# Motions in which something strikes, and those in which nothing does.
STRIKING = ("stroke", "bounce")
SILENT = ("orbit", "limb", "figure", "wheel", "breath")
# Eight of thirteen scenes strike something, unless nothing repeats or nothing is there.
MIXED = {
    "kinds": 4 * STRIKING + SILENT,
    "period": (6.0, 45.0),
    "max_cycles": 64,
    "still": 0.15,
    "pause": 0.3,
    "picture_damage": 0.1,
    "camera": 1.25,
    "air": 0.15,
}


def _split(kind: str, number: int, seed: int) -> dict:
    common = {"max_cycles": 64, "pause": 0.35}
    parts = {
        "strikes": {"frames": 160, "period": (7.0, 45.0), "kinds": STRIKING}
        | {"number": number, "still": 0.0}
        | common,
        # Much moves and nothing repeats or strikes.
        "still": {"frames": 160, "kinds": SILENT, "number": number // 2, "still": 1.0}
        | common,
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
    config.family = "ta2net"
    config.name = "ta2net"
    config.seed = 0
    # "auto": bfloat16 for what is done over pixels on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with; --config.start.image_encoder/resnet50=MODEL for an encoder alone, and
    # where model.flow is a network the folder of its weights.
    config.start = {"model": "", "flow_network": ""}
    config.model = {
        "encoder": "resnet50",
        "frames": 64,
        "width": 1.0,
        # Or "tv_l1_quick", "gmflow", "gmflow_refined", "gmflow_small".
        "flow": "tv_l1",
        # Table 4: ("motion",) and () leave kinematics out; without aggregation they are features
        # beside the image's.
        "streams": ("motion", "inflection"),
        "aggregated": True,
        # False sees motion alone, which nothing is picked from: aggregated must be False, too.
        "image": True,
        "pictures": False,
        "released": False,
        "masked": False,
        "beside": False,
        "kept": False,
        "centred": False,
        "squeezed": False,
        "places": 3,
        "dropout": 1.0,
    }
    config.counting = {"threshold": 0.5}
    # Table 5 changes the last two weights.
    config.loss = {
        "released": False,
        "weights": {
            "cross_entropy": 1.0,
            "focal": 0.1,
            "contrast": 0.01,
            "smoothness": 0.002,
        },
    }
    config.data = {
        "size": 112,
        "audio_rate": 22050,
        "workers": 2,
        "cache": "",
        # Where windows with their flow are stored; "" for in the workdir.
        "features": "",
        "train": _split("scenes", 4, 1),
        "val": _split("scenes", 12, 2),
        "test": _split("scenes", 60, 3),
    }
    config.windows = {
        # Or "videos": windows around labelled events of data.train.
        "examples": "scenes",
        "epochs": 20,
        "epoch_steps": 1000,
        "batch": 4,
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
        # Of so many epochs the windows are stored with their flow, once, and learned from again
        # and again, mirrored, turned and backward; 0 for windows drawn anew all the time.
        "stored_epochs": 0,
        # Probability that a window ends early, and how much the camera moves beside what the
        # scenes have.
        "padded": 0.1,
        "camera": 0.0,
        "scenes": {
            "strikes": {
                "share": 0.6,
                "kinds": STRIKING,
                "period": (6.0, 45.0),
                "cut": 0.5,
                "still": 0.1,
                "pause": 0.3,
                "picture_damage": 0.1,
                # Some strike where nothing is.
                "air": 0.15,
            },
            # Swings that touch nothing, and a camera that shakes.
            "touches_nothing": {
                "share": 0.4,
                "kinds": SILENT,
                "period": (6.0, 45.0),
                "cut": 0.5,
                "still": 0.3,
                "camera": 2.0,
            },
        },
    }
    return config


def paper() -> ml_collections.ConfigDict:
    """As the paper trains: windows of labelled videos, Adam, 20,000 steps of four."""
    config = full()
    config.name = "ta2net-paper"
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "csv", "parts": {}})
    config.windows.update(
        {"examples": "videos", "epochs": 160, "epoch_steps": 0, "padded": 0.0}
    )
    config.windows.optimiser.update(
        {
            "learning_rate": 5e-6,
            "weight_decay": 0.0,
            "clip": 0.0,
            "schedule": "constant",
            # As the authors' code: what comes after the encoders and the kinematics learns ten
            # times as fast, and all biases twice.
            "rates": (
                ("^(neck|similarity|rows|predictor)/", 10.0),
                ("/bias$", 2.0),
            ),
        }
    )
    return config


def released() -> ml_collections.ConfigDict:
    """The authors' code: their attention, pictures of flow, their losses."""
    config = paper()
    config.name = "ta2net-released"
    config.model.update({"released": True, "pictures": True})
    config.loss.released = True
    config.loss.weights.update({"cross_entropy": 0.1, "focal": 1.0})
    config.windows.epochs = 600
    return config


def small() -> ml_collections.ConfigDict:
    """Lean encoders, an eighth of the width, 64 pixels: for two CPU cores.

    1200 windows are stored with their flow and learned from again and again.
    """
    config = full()
    config.name = "ta2net-small"
    config.counting.threshold = 0.35
    config.model.update(
        {
            "encoder": "lean",
            "width": 0.125,
            "flow": "tv_l1_quick",
            "beside": True,
            "kept": True,
            "centred": True,
            "squeezed": True,
            "places": 1,
            "dropout": 0.0,
        }
    )
    config.data.size, config.data.workers = 64, 0
    # One kind of scenes for all is one program to compile.
    for split, number in (("train", 4), ("val", 4), ("test", 24)):
        config.data[split].parts = {"mixed": MIXED | {"frames": 160, "number": number}}
    config.windows.scenes = {"mixed": MIXED | {"share": 1.0, "cut": 0.5}}
    config.windows.update(
        {"epochs": 16, "epoch_steps": 150, "batch": 4, "evaluate_epochs": 8}
    )
    config.windows.stored_epochs = 2
    config.windows.optimiser.update({"learning_rate": 2e-3, "warmup": 60})
    return config


def quick() -> ml_collections.ConfigDict:
    """`small` for a few steps, to see that everything runs."""
    config = small()
    config.name = "ta2net-quick"
    config.windows.update({"epochs": 1, "epoch_steps": 4, "evaluate_epochs": 1})
    config.windows.stored_epochs = 0
    for split in ("train", "val", "test"):
        for part in config.data[split].parts.values():
            part.number = 1
    return config


VARIANTS = {
    "": full,
    "paper": paper,
    "released": released,
    "small": small,
    "quick": quick,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
