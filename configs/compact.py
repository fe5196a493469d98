"""The compact counter: sight and sound from self-similarity, on procedural scenes only.

    rac train --config configs/compact.py --workdir W
    rac train --config configs/compact.py:quick --workdir W

Everything is rendered on the device. `quick` is a few minutes on two CPU cores, to see it run.
"""

import ml_collections


def _stage(steps: int, **changes) -> dict:
    return {
        "epochs": 4,
        "epoch_steps": steps // 4,
        "batch": 16,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "adamw",
            "learning_rate": 2e-3,
            "momentum": 0.0,
            "weight_decay": 1e-3,
            "clip": 1.0,
            "schedule": "cosine",
            "warmup": 60,
        },
        "evaluate_epochs": 1,
        "keep_best": False,
        "log_steps": 50,
        "checkpoint_steps": 200,
    } | changes


def full() -> ml_collections.ConfigDict:
    """The recipe of the shipped model."""
    config = ml_collections.ConfigDict()
    config.family = "compact"
    config.name = "compact"
    config.seed = 0
    # "auto": bfloat16 convolutions on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with, a folder or the name of a shipped one; on the command line also
    # --config.start.GROUP=MODEL for one group of parameters, such as sound_stream.
    config.start = {"model": ""}
    config.model = {"sight_features": ("pixels", "learned")}
    # How sets of repetitions are found, see `rac_jax.models.compact.decoder.DecodingConfig`;
    # chosen on the validation scenes.
    config.decoding = {
        "nothing": 1.0,
        "drift": 0.3,
        "jump": 2.0,
        "score": 0.3,
        "least_count": 1.6,
        "gap": 1.0,
    }
    # Weight of the periodicity's cross entropy beside the period's, and the width of the soft
    # period classes in bins.
    config.loss = {"periodicity": 2.0, "sigma": 0.8}
    config.sight = _stage(1600, padded=0.15)
    config.sight.scenes = {
        "repeats": {
            "share": 0.6,
            "period": (3.0, 32.0),
            "cut": 0.35,
            "still": 0.1,
            "pause": 0.3,
            "picture_damage": 0.15,
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
    }
    config.sound = _stage(1600, batch=28, padded=0.2)
    config.sound.scenes = {
        "all": {
            "share": 1.0,
            "frames": 540,
            "fps": 30.0,
            "period": (4.0, 200.0),
            "max_cycles": 160,
            "cut": 0.35,
            "still": 0.15,
            "sound_damage": 0.4,
        }
    }
    config.sound.strides = (1, 2, 2, 3, 4, 6, 8)
    config.decoder = _stage(1000, stride_dropout=0.1, one_stride=0.1)
    # What the decoders learn from, as long as videos are: length, frame rate and tempo differ.
    common = {
        "still": 0.25,
        "pause": 0.35,
        "picture_damage": 0.3,
        "sound_damage": 0.5,
        "max_cycles": 100,
    }
    lengths = {
        "brief": {"frames": 72, "fps": 25.0, "period": (5.0, 26.0)},
        "short": {"frames": 240, "fps": 25.0, "period": (5.0, 75.0)},
        "long": {"frames": 480, "fps": 30.0, "period": (6.0, 220.0)},
        "coarse": {"frames": 180, "fps": 15.0, "period": (3.5, 60.0)},
    }
    # Other labelled videos with cycles may stand here, too; see `configs/sight_sound.py`.
    config.data = {"size": 64, "audio_rate": 22050, "workers": 0, "cache": ""}
    numbers = {"train": 180, "val": 40, "test": 60}
    for seed, (split, number) in enumerate(numbers.items()):
        parts = {
            name: {"number": number} | fields | common
            for name, fields in lengths.items()
        }
        config.data[split] = {
            "kind": "scenes",
            "path": "",
            "split": "",
            "number": 0,
            "seed": seed + 1,
            "scenes": {},
            "parts": parts,
        }
    return config


def quick() -> ml_collections.ConfigDict:
    """The same, too short to be good."""
    config = full()
    config.name = "compact-quick"
    for stage in ("sight", "sound", "decoder"):
        config[stage].epoch_steps //= 20
    for split, number in (("train", 12), ("val", 6), ("test", 6)):
        for part in config.data[split].parts.values():
            part.number = number
    return config


VARIANTS = {"": full, "quick": quick}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
