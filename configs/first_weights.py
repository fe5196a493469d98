"""The first default weights: sight and sound at a quarter of the width, on procedural scenes.

    python -m rac_jax.cli.first_weights --config configs/first_weights.py --out DIR

Four stages as in paper 1: sight, sound, stride rankers, reliability. Two CPU cores, about an
hour; the result is written into the model's `config.json`.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Plain values; lists of [size, batch, steps] are phases of rising resolution."""
    config = ml_collections.ConfigDict()
    config.name = "sight-sound-small"
    config.seed = 0
    config.model = {
        "sight_encoder": "s3d",
        "sight_width": 0.25,
        "sight_classes": 41,
        "sight_head": "regression",
        "sound_width": 0.25,
        "sound_classes": 43,
        "sound_head": "regression",
        "ranker": "paper",
        "reliability": "paper",
        "use_sight_only_ranker": True,
    }
    # Terms of Eq. 6 and 7, and one of ours: the rate of repetition along time, read from the
    # stage-3 features by a linear layer that is thrown away. It gives every clip 16 targets
    # instead of one, which from-scratch training on a laptop needs.
    config.loss = {
        "squared": 0.3,
        "relative": 10.0,
        "diversity": "sample_product",
        "diversity_weight": 0.1,
        "local": 5.0,
    }
    config.optimiser = {"weight_decay": 1e-4, "clip": 1.0, "warmup": 50}
    config.sight = {
        "phases": ((40, 16, 600), (64, 16, 200), (112, 8, 450)),
        "learning_rate": 2e-3,
        "scenes": {
            "cut": 0.5,
            "period": (64 / 14, 64 / 1.5),
            "picture_damage": 0.05,
        },
        "padded": 0.25,
        "highest": 14.0,  # first biases of the classes' counts are spread from 0 to this
        "recalibrate": 20,
    }
    config.sound = {
        "phases": ((0, 16, 450),),
        "learning_rate": 2e-3,
        "scenes": {
            "frames": 300,
            "cut": 0.5,
            "period": (6.0, 75.0),
            "max_cycles": 96,
            "sound_damage": 0.15,
        },
        "highest": 20.0,
        "recalibrate": 20,
    }
    # Long scenes for rankers and reliability: clips at strides 1 to 5 and their sound.
    config.selection = {
        "scenes": {
            "frames": 320,
            "cut": 0.7,
            "still": 0.0,
            "period": (5.0, 150.0),
            "max_cycles": 96,
            "picture_damage": 0.35,
            "sound_damage": 0.45,
        },
        "strides": (1, 2, 3, 4, 5),
        "number": 480,
        "epochs": 12,
        "batch": 16,
        "size": 112,
        "learning_rate": 1e-3,
        "margin": 2.9,
        "threshold": 0.29,
    }
    config.evaluation = {
        "number": 200,
        "seed": 1000,
        "scenes": {"cut": 0.0, "still": 0.1},
    }
    config.notes = ""
    return config
