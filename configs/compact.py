"""The compact counter: pixels and sound in self-similarity, on procedural scenes only.

    python -m rac_jax.cli.train_compact --config configs/compact.py --out DIR

Renders the scenes once into DIR, trains sight and sound, and writes DIR/model. The time and the
result are written into the model's `config.json`.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """Plain values."""
    config = ml_collections.ConfigDict()
    config.name = "compact"
    config.seed = 0
    config.model = {"sight_features": ("pixels",)}
    config.strides = (1, 2, 3, 4, 6, 8, 12)
    # How sets of repetitions are found, see `rac_jax.counting.sets.Rule`.
    config.rule = {
        "smoothing_s": 8.0,
        "agreement": 0.3,
        "score": 0.6,
        "least": 1.7,
        "gap": 1.0,
    }
    # Weight of the periodicity's cross entropy beside the period's, and the width of the
    # soft period classes in bins.
    config.loss = {"periodicity": 2.0, "sigma": 0.8}
    config.optimiser = {"weight_decay": 1e-3, "clip": 1.0, "warmup": 60}
    config.sight = {
        "size": 64,
        # [number of scenes, their settings]
        "scenes": (
            (
                3000,
                {
                    "period": (3.0, 32.0),
                    "cut": 0.35,
                    "still": 0.15,
                    "pause": 0.3,
                    "picture_damage": 0.15,
                },
            ),
            # Too slow or too fast for the stride: not periodic here.
            (
                1000,
                {"period": (1.2, 140.0), "cut": 1.0, "still": 0.1, "max_cycles": 64},
            ),
            # Nothing repeats, but much moves.
            (1000, {"still": 1.0, "camera": 2.0, "distractor": 0.7}),
        ),
        "steps": 1200,
        "batch": 16,
        "learning_rate": 2e-3,
        "padded": 0.15,
    }
    config.sound = {
        "number": 900,
        "scenes": {
            "frames": 512,
            "fps": 30.0,
            "period": (4.0, 200.0),
            "max_cycles": 160,
            "cut": 0.35,
            "still": 0.2,
            "sound_damage": 0.35,
        },
        # One window of 64 frames at each stride from every scene.
        "strides": (1, 2, 2, 3, 4, 6, 8),
        "steps": 1200,
        "batch": 16,
        "learning_rate": 2e-3,
        "padded": 0.1,
    }
    # Long scenes: how well the whole procedure counts, and its reliability.
    config.validation = {
        # [number of scenes, frames, their settings]
        "scenes": (
            (80, 240, {"fps": 25.0, "period": (6.0, 70.0)}),
            (50, 450, {"fps": 30.0, "period": (8.0, 200.0)}),
        ),
        "common": {
            "still": 0.25,
            "pause": 0.3,
            "max_cycles": 80,
            "picture_damage": 0.3,
            "sound_damage": 0.5,
        },
    }
    return config
