"""Listen to Look: a student of one frame and a second of sound, and skimming of stored features.

    rac train --config pretrain:r2plus1d --workdir T ...
    rac train --config listen_to_look --workdir W --config.teacher=T/export \\
        --config.data.train.path=kinetics:train.csv,videos=kinetics/ \\
        --config.data.val.path=kinetics:val.csv,videos=kinetics/ \\
        --config.data.test.path=kinetics:val.csv,videos=kinetics/
    rac train --config pretrain:quick --workdir T
    rac train --config listen_to_look:quick --workdir W --config.teacher=T/export
    rac train --config listen_to_look:skimming --workdir S --config.data.train.path=train.csv \\
        --config.data.val.path=val.csv --config.data.test.path=val.csv

The default has the supplement's sizes and schedule (section C): 60 epochs of SGD, a tenth of the
rate after half and after five sixths of them. `quick` is taught by `pretrain:quick` on 2560
scenes that are rendered once, and stored. `skimming` learns on the CSVs of features of docs/data.md, 25
epochs. Neither has been run at full size. Nesterov's momentum and the classifier's own rate are
left out: the engine's SGD has neither.
"""

import ml_collections


def _split(kind: str) -> dict:
    return {
        "kind": kind,
        "path": "",
        "split": "",
        "number": 0,
        "seed": 0,
        "scenes": {},
    }


def _stage(epochs: int, falls: tuple[float, ...]) -> dict:
    return {
        "epochs": epochs,
        "epoch_steps": 0,
        "batch": 16,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "sgd",
            "learning_rate": 1e-3,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "clip": 0.0,
            "schedule": "falling",
            # Shares of the stage after which the rate is a tenth.
            "falls": falls,
            "warmup": 0,
        },
        "evaluate_epochs": 5,
        "keep_best": False,
        "log_steps": 50,
        "checkpoint_steps": 1000,
    }


def full() -> ml_collections.ConfigDict:
    """The student of an R(2+1)D-18 on Kinetics-400."""
    config = ml_collections.ConfigDict()
    config.family = "listen_to_look"
    config.name = "imgaud2vid"
    config.seed = 0
    # Of the student's ResNets: bfloat16 on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: whether what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with; --config.start.image=MODEL for one of its groups.
    config.start = {"model": ""}
    # The model folder of a classifier of clips.
    config.teacher = ""
    config.model = {
        "part": "student",
        "classes": 400,
        "released": False,
        # Half of the teacher's features.
        "each": 256,
        "width": 1.0,
        # Or "image" or "audio" alone.
        "senses": "both",
    }
    config.data = {
        "size": 128,
        "audio_rate": 16000,
        "workers": 12,
        "cache": "",
        # Where stored examples lie; "" for in the workdir.
        "features": "",
        "train": _split("csv"),
        "val": _split("csv"),
        "test": _split("csv"),
    }
    config.evaluation = {
        # Of a student: moments along a test video, and whether its teacher is measured, too.
        "moments": 10,
        "teacher": False,
        # Of skimming: how it reads.
        "steps": 10,
        "indexing": "soft",
        "every": 1,
    }
    config.distil = _stage(60, (0.5, 5 / 6)) | {
        # Parts of the videos of data.train, or "scenes", rendered in the step.
        "examples": "videos",
        # Of so many epochs what the teacher says is stored with what the student may see and
        # hear, once, and learned from again and again; 0 for new clips all the time.
        "stored_epochs": 0,
        # Of the divergence of scores, and by what they are softened.
        "weight": 100.0,
        "temperature": 2.0,
        "scenes": {},
    }
    config.skim = _stage(0, (0.6, 0.8)) | {
        "lengths": (200, 500),
        "steps": 10,
        "indexing": "soft",
        # Whether the LSTM's last state is to name the class, too.
        "last_state": False,
        # Groups of parameters that learn nothing, such as a fusion that was trained before.
        "frozen": (),
        # Whether the banks of a video are laid side by side and read by one query.
        "joined": False,
    }
    return config


def quick() -> ml_collections.ConfigDict:
    """A narrow student of `pretrain:quick`, on scenes that are rendered in the step."""
    config = full()
    config.name = "imgaud2vid-scenes"
    # The plain encoder at a quarter of its width has 96 features.
    config.model.update({"classes": 7, "each": 48, "width": 0.125})
    config.data.update({"size": 72, "workers": 0})
    config.evaluation.moments = 3
    # As `pretrain:quick` has them; and heard is what tells kinds apart that look alike.
    easy = {
        "frames": 48,
        "period": (6.0, 24.0),
        "still": 0.0,
        "pause": 0.0,
        "shot_change": 0.0,
        "camera": 0.0,
        "distractor": 0.0,
        "clean": True,
        "timbre": 1.0,
    }
    # Of "train" it is the seed that counts: that of the stored scenes.
    numbers = (("train", 8), ("val", 32), ("test", 210))
    for place, (split, number) in enumerate(numbers):
        config.data[split].update(
            {"kind": "scenes", "number": number, "seed": place + 1, "scenes": easy}
        )
    config.distil.update(
        {
            "examples": "scenes",
            "epochs": 4,
            "epoch_steps": 160,
            "stored_epochs": 1,
            "weight": 10.0,
            "average_decay": 0.99,
            "evaluate_epochs": 4,
            "log_steps": 50,
            "checkpoint_steps": 400,
            "scenes": {name: easy[name] for name in easy if name != "frames"},
        }
    )
    config.distil.optimiser.update(
        {"name": "adamw", "learning_rate": 2e-3, "schedule": "cosine", "warmup": 30}
    )
    return config


def skimming() -> ml_collections.ConfigDict:
    """Two banks of 512 features, one moment for every 16 frames, 200 classes."""
    config = full()
    config.name = "imgaud-skimming"
    config.model = {
        "part": "skimming",
        "classes": 200,
        "banks": 2,
        "features": 512,
        "hidden": 1024,
        "keys": 512,
        "fused": 512,
        "fusion_hidden": 1024,
        "normalised": False,
    }
    for split in ("train", "val", "test"):
        config.data[split].kind = "features"
    config.distil.epochs = 0
    # Batches of 256 of ActivityNet's 10,024 training videos make an epoch of 40.
    config.skim.update({"epochs": 25, "epoch_steps": 40, "batch": 256})
    config.skim.optimiser.learning_rate = 1e-2
    return config


VARIANTS = {"": full, "quick": quick, "skimming": skimming}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
