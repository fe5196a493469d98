"""Trains the toy family on procedural scenes: `rac train --config config.py --workdir W`."""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    scenes = {
        "frames": 48,
        "period": (8.0, 16.0),
        "clean": True,
        "camera": 0.0,
        "distractor": 0.0,
        "pause": 0.0,
        "still": 0.0,
    }
    data = {"kind": "scenes", "number": 6, "scenes": scenes}
    return ml_collections.ConfigDict(
        {
            "family": "toy",
            "name": "toy",
            "seed": 0,
            "precision": "float32",
            "mesh": {"data": -1, "fsdp": 1},
            "share_stages": False,
            "keep_memory": True,
            "start": {"model": ""},
            "model": {},
            "data": {
                "size": 32,
                "audio_rate": 22050,
                "workers": 0,
                "cache": "",
                "train": data | {"seed": 1},
                "val": data | {"seed": 2},
                "test": data | {"seed": 3},
            },
            "pixels": {
                "epochs": 2,
                "epoch_steps": 12,
                "batch": 4,
                "accumulate": 1,
                "average_decay": 0.0,
                "rematerialise": "nothing",
                "optimiser": {
                    "name": "adamw",
                    "learning_rate": 0.5,
                    "momentum": 0.0,
                    "weight_decay": 0.0,
                    "clip": 0.0,
                    "schedule": "constant",
                    "warmup": 0,
                },
                "evaluate_epochs": 1,
                "keep_best": False,
                "log_steps": 6,
                "checkpoint_steps": 6,
            },
        }
    )
