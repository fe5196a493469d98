"""TransRAC: a density of repetitions from attention at three scales, on scenes or on videos.

    rac train --config configs/transrac.py:small --workdir W
    rac train --config configs/transrac.py --workdir W
    rac train --config configs/transrac.py:paper --workdir W --config.data.train.path train.csv \
        --config.data.val.path val.csv --config.data.test.path test.csv \
        --config.start.encoder=SWIN

`full` (no name) is the published network on scenes that are rendered in the step: a GPU or more.
`paper` is the paper's training, on labelled videos whose cycles are known, from Kinetics' encoder
(`rac convert swin-kinetics`). `small` is for two CPU cores.
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
    config.family = "transrac"
    config.name = "transrac"
    config.seed = 0
    # "auto": bfloat16 for what is done over pixels on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with; --config.start.encoder=MODEL for the encoder alone.
    config.start = {"model": ""}
    config.model = {
        "encoder": "video_swin",
        "scales": (1, 4, 8),
        "frames": 64,
        "width": 1.0,
        "released": False,
        "frozen": False,
        "places": 3,
        "lags": False,
        # Share of the published dropout.
        "dropout": 1.0,
    }
    # As what the model counts: "blended", "paper" or "released".
    config.counting = {"protocol": "blended"}
    # The errors of the count and of the density, and how much each weighs; the authors' script
    # has the second alone.
    config.loss = {
        "terms": ("count", "density"),
        "weights": {"count": 1.0, "density": 100.0},
    }
    config.data = {
        "size": 224,
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
        # Or "whole", as many frames as a window has of each video of data.train, or "parts" of
        # them at a random stride.
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


def paper() -> ml_collections.ConfigDict:
    """As the papers train: N frames of each whole video, a frozen encoder, Adam."""
    config = full()
    config.name = "transrac-paper"
    config.model.frozen = True
    config.counting.protocol = "paper"
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "csv", "parts": {}})
    config.windows.update(
        {"examples": "whole", "epochs": 200, "epoch_steps": 0, "padded": 0.0}
    )
    config.windows.optimiser.update(
        {"name": "adamw", "learning_rate": 8e-6, "weight_decay": 0.0, "clip": 0.0}
    )
    return config


def small() -> ml_collections.ConfigDict:
    """A lean encoder and a quarter of the width, for two CPU cores.

    The encoder is `repnet-small`'s, and frozen: windows are rendered and encoded once.
    """
    config = full()
    config.name = "transrac-small"
    config.start.encoder = "repnet-small"
    config.model.update(
        {
            "width": 0.25,
            "encoder": "plain",
            "places": 1,
            "lags": True,
            "frozen": True,
            "dropout": 0.0,
        }
    )
    # The error of counts learns nothing for long: where half of the windows have none, 0 is
    # nearly as good as anything.
    config.loss.weights.update({"count": 0.2, "density": 300.0})
    config.data.size, config.data.workers = 64, 0
    config.windows.update(
        {
            "epochs": 30,
            "epoch_steps": 100,
            "stored_epochs": 5,
            "batch": 16,
            "evaluate_epochs": 30,
        }
    )
    config.windows.optimiser.update({"learning_rate": 1e-3, "warmup": 100})
    return config


VARIANTS = {"": full, "paper": paper, "small": small}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
