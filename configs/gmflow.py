"""GMFlow on procedural scenes, whose flow is known, rendered in the step.

    rac train --config configs/gmflow.py:small --workdir W
    rac train --config configs/gmflow.py --workdir W
    rac train --config configs/gmflow.py:small --workdir W --config.start.model=gmflow

`full` (no name) has the published sizes with one scale, `refined` those with two and six steps of
refinement: a GPU. `small` is narrow and has two scales, for pictures of 64 to 112 pixels. `quick` is
the smallest, for a few steps. What is exported is an encoder's folder.
"""

import ml_collections


def _split(number: int, seed: int) -> dict:
    # Clips of every kind of scenes.
    return {"number": number, "seed": seed}


def full() -> ml_collections.ConfigDict:
    """The published sizes, one scale."""
    config = ml_collections.ConfigDict()
    config.family = "optical_flow"
    config.name = "gmflow-scenes"
    config.seed = 0
    # "auto": bfloat16 convolutions and attention on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with, such as the authors' after `rac convert gmflow`.
    config.start = {"model": ""}
    config.model = {"width": 1.0, "scales": 1, "refinements": 0, "blocks": 6}
    config.data = {"size": 112, "val": _split(16, 2), "test": _split(64, 3)}
    config.flow = {
        "epochs": 20,
        "epoch_steps": 1000,
        "batch": 16,
        "accumulate": 1,
        "average_decay": 0.999,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "adamw",
            "learning_rate": 4e-4,
            "momentum": 0.0,
            "weight_decay": 1e-4,
            "clip": 1.0,
            "schedule": "cosine",
            "warmup": 500,
        },
        "evaluate_epochs": 2,
        "keep_best": False,
        "log_steps": 50,
        "checkpoint_steps": 1000,
        # Of a clip: one fewer pairs, there and back.
        "frames": 8,
        "scenes": {
            # Repetition all along the clip, at every tempo, before a camera that moves.
            "moving": {
                "share": 0.75,
                "period": (3.0, 45.0),
                "cut": 1.0,
                "still": 0.0,
                "distractor": 0.6,
                "shot_change": 0.0,
            },
            # A tripod, so that most of the picture stays.
            "steady": {
                "share": 0.25,
                "period": (5.0, 45.0),
                "cut": 1.0,
                "still": 0.2,
                "camera": 0.0,
                "shot_change": 0.0,
            },
        },
    }
    return config


def refined() -> ml_collections.ConfigDict:
    """The published sizes, two scales, six steps of refinement."""
    config = full()
    config.name = "gmflow-refined-scenes"
    config.model.update({"scales": 2, "refinements": 6})
    config.flow.batch = 8
    return config


def small() -> ml_collections.ConfigDict:
    """Two scales, three eighths of the width, four blocks: what ships."""
    config = full()
    config.name = "gmflow-small"
    config.model.update({"width": 0.375, "scales": 2, "blocks": 4})
    config.data.size = 96
    config.flow.optimiser.learning_rate = 8e-4
    return config


def quick() -> ml_collections.ConfigDict:
    """Tiny, to see that everything runs."""
    config = small()
    config.name = "gmflow-quick"
    config.model.update({"width": 0.125, "scales": 1, "blocks": 1})
    config.data.size = 32
    config.data.val.number = config.data.test.number = 4
    config.flow.update(
        {"epochs": 1, "epoch_steps": 4, "batch": 4, "frames": 3, "evaluate_epochs": 1}
    )
    return config


VARIANTS = {"": full, "refined": refined, "small": small, "quick": quick}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
