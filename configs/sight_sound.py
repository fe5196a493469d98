"""Sight and sound (paper 1): four stages, from annotated video or from procedural scenes.

    rac train --config configs/sight_sound.py --workdir W --config.data.train.path train.csv \
        --config.data.val.path val.csv --config.data.test.path test.csv \
        --config.start.sight_encoder KINETICS --config.start.sound_encoder VGGSOUND
    rac train --config configs/sight_sound.py:released ...
    rac train --config configs/sight_sound.py:scenes --workdir W
    rac train --config configs/sight_sound.py:small --workdir W
    rac train --config configs/sight_sound.py:refined --workdir W

KINETICS and VGGSOUND (or ImageNet) are encoders that `rac convert` has made of published weights;
without them training starts from scratch, and says so.

`paper` (no name) is section 4.3, on 112 x 112 pixels: a GPU or more, and real data that nobody
may pass on, so its result is not known here. `released` is what the authors' code does instead.
`scenes` is the paper's sizes on procedural scenes only, with clips rendered in the step: one GPU.
`small` is a quarter of the width on small scenes: two CPU cores, 24 minutes. `refined` goes on from
the shipped weights on larger and harder ones. The results are in docs/experiments.md.
"""

import ml_collections


def _optimiser(**changes) -> dict:
    return {
        "name": "sgd",
        "learning_rate": 1e-4,
        "momentum": 0.0,
        "weight_decay": 0.0,
        # Largest norm of the gradient, 0 for any.
        "clip": 0.0,
        "schedule": "constant",
        "warmup": 0,
    } | changes


def _stage(epochs: int, **changes) -> dict:
    return {
        "epochs": epochs,
        # 0: as many as the videos give.
        "epoch_steps": 0,
        "batch": 8,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": _optimiser(),
        "evaluate_epochs": 1,
        "keep_best": False,
        "log_steps": 20,
        "checkpoint_steps": 200,
    } | changes


def _split(seed: int) -> dict:
    # kind: csv (path: labels, or an official data set as in countix_av:FILE,videos=DIR), tfds
    # (path: folder, split: its name there), cache (path: folder), scenes (number, seed, scenes).
    return {
        "kind": "csv",
        "path": "",
        "split": "",
        "number": 0,
        "seed": seed,
        "scenes": {},
    }


def paper() -> ml_collections.ConfigDict:
    """Sections 3 and 4.3."""
    config = ml_collections.ConfigDict()
    config.family = "sight_sound"
    config.name = "sight-sound"
    config.seed = 0
    # "auto": bfloat16 encoders on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with, a folder or the name of a shipped one; on the command line also
    # --config.start.GROUP=MODEL for one group of parameters, such as sight_encoder.
    config.start = {"model": ""}
    config.model = {
        "sight_encoder": "s3d",
        "sight_width": 1.0,
        "sight_classes": 41,
        "sight_head": "regression",
        "sound_width": 1.0,
        "sound_classes": 43,
        "sound_head": "regression",
        "ranker": "paper",
        "reliability": "paper",
        "use_sight_only_ranker": True,
    }
    config.data = {
        "size": 112,
        "audio_rate": 22050,
        # How media are shrunk: "area" or "bilinear", as the model will see them.
        "interpolation": "area",
        # Or "cycles", where the videos have them.
        "labels": "share",
        "workers": 2,
        "cache": "",
        "train": _split(1),
        "val": _split(2),
        "test": _split(3),
        # Of a kind where sight learns from, and is judged by, other videos than the rest, as on
        # Countix where the rest learns from Countix-AV (section 4.3).
        "sight_train": _split(1) | {"kind": ""},
        "sight_val": _split(2) | {"kind": ""},
    }
    # As what the model counts, in training and after it: "paper" or "released", at strides from 1
    # on (Appendix A; the ranker is trained on more).
    config.counting = {"protocol": "paper", "max_stride": 5}
    # Eq. 4-7. `local` weighs an auxiliary term of ours for training from scratch, 0 for the
    # paper's loss.
    config.loss = {
        "terms": ("squared", "relative", "diversity"),
        "squared": 1.0,
        "relative": 10.0,
        # "paper": Eq. 5, a sum over pairs of classes; "released": the authors' sum over pairs of
        # samples; "mean": the mean of that, which no batch size changes; "action_class": Table 10.
        "diversity": "paper",
        "diversity_weight": 10.0,
        "local": 0.0,
    }
    no_scenes = {
        "examples": "videos",
        "scenes": {},
        "trained": (),
        # Where above 0, the biases of the classes' counts start evenly from 0 to this.
        "class_bias_range": 0.0,
    }
    config.sight = _stage(
        8,
        augment={"flip": 0.5, "crop": 0.0, "colour": 0.0, "jitter": 0},
        padded=0.0,
        record_under=0.5,
        record_share=1.0,
        **no_scenes,
    )
    config.sound = _stage(
        20,
        augment={
            "noise": 0.5,
            "reverse": 0.5,
            "append": 0.5,
            "resize": 0.5,
            "band": 0.5,
            # How wide a band is, 0 for a random width.
            "band_rows": 0,
        },
        # Of a segment's columns: "two_repetitions" is section 3.3; "random" squeezes half of
        # them further, up to `highest` repetitions; "released" is the authors' scripts.
        squeeze="two_repetitions",
        highest=20.0,
        # Of each rendered scene.
        windows=1,
        record_under=0.5,
        record_share=1.0,
        **no_scenes,
    )
    ranking = {
        "threshold": 0.29,
        "margin": 2.9,
        # Or "released": deviations either way, one start for both clips, far strides where none
        # is negative.
        "pairs": "paper",
        # Prefixes of parameters, () for all of the rankers.
        "trained": (),
        "augment_sound": False,
        "optimiser": _optimiser(learning_rate=1e-3),
    }
    # The sight-only ranker by itself, before the other one: only with epochs.
    config.sight_stride = _stage(0, rankers=("solo_ranker",), **ranking)
    config.stride = _stage(
        5,
        strides=(1, 2, 3, 4, 5, 6, 7, 8),
        positive="two_repetitions",
        rankers=("solo_ranker", "ranker"),
        **ranking,
    )
    config.reliability = _stage(
        20,
        predictions="empirical",
        # Of clips and counts: the true S*, or "ranker" for what that chooses; "random" is of
        # clips alone.
        stride="positive",
        # Whether the sound is all of a video's, not what is under the clip, and augmented.
        whole_sound=False,
        augment_sound=False,
        # How much further off the worse of two predictions is moved, as a share of its error.
        push=0.0,
        sight_threshold=0.36,
        sound_threshold=0.40,
        fusion="reliability",
    )
    return config


def released() -> ml_collections.ConfigDict:
    """What the authors' code does where it differs from the text."""
    config = paper()
    config.name = "sight-sound-released"
    config.model.update(
        {
            "sight_encoder": "r2plus1d18",
            "sight_head": "expectation",
            "sound_head": "expectation",
            "ranker": "released",
            "reliability": "released",
        }
    )
    config.counting.protocol = "released"
    config.data.interpolation = "bilinear"
    config.loss.diversity = "released"
    stages = (
        config.sight,
        config.sound,
        config.sight_stride,
        config.stride,
        config.reliability,
    )
    for stage in stages:
        stage.optimiser.update({"momentum": 0.9, "weight_decay": 1e-4})
        stage.keep_best = True
    config.sight.augment.flip = 0.0
    config.sound.update({"epochs": 30, "squeeze": "released"})
    config.sound.trained = (
        "sound_encoder/stage3",
        "sound_encoder/stage4",
        "sound_head",
    )
    # Appending and resizing are part of the squeeze.
    config.sound.augment.update(
        {"noise": 1.0, "append": 0.0, "resize": 0.0, "band": 1.0, "band_rows": 9}
    )
    ranking = {"epochs": 15, "batch": 2, "pairs": "released"}
    config.sight_stride.update(ranking)
    config.stride.update(
        ranking
        | {
            "strides": (1, 2, 3, 4, 5, 6, 7),
            "positive": "released",
            "threshold": 0.3,
            "margin": 1.0,
            "rankers": ("ranker",),
            # The last layer alone has gradients.
            "trained": ("ranker/score",),
            "augment_sound": True,
        }
    )
    config.reliability.update(
        {
            "epochs": 15,
            "stride": "random",
            "whole_sound": True,
            "augment_sound": True,
            "push": 0.17,
        }
    )
    config.reliability.optimiser.learning_rate = 1e-3
    return config


def scenes() -> ml_collections.ConfigDict:
    """The paper's sizes on procedural scenes."""
    config = paper()
    config.name = "sight-sound-scenes"
    config.data.labels = "cycles"
    videos = {
        "frames": 320,
        "cut": 0.5,
        "still": 0.0,
        "period": (5.0, 150.0),
        "max_cycles": 96,
    }
    for split, number in (("train", 1000), ("val", 100), ("test", 300)):
        config.data[split].kind = "scenes"
        config.data[split].number = number
        # Three in four videos have exactly one stream damaged.
        config.data[split].scenes = dict(videos) | {"one_damaged": 0.75}
    config.loss.update(
        {
            "squared": 0.3,
            "diversity": "mean",
            "diversity_weight": 0.1,
            "local": 5.0,
        }
    )
    adamw = _optimiser(
        name="adamw", schedule="cosine", warmup=50, weight_decay=1e-4, clip=1.0
    )
    config.sight.update(
        {
            "examples": "device",
            "batch": 32,
            "epoch_steps": 250,
            "padded": 0.25,
            "class_bias_range": 14.0,
            "record_under": 10.0,
            "optimiser": adamw | {"learning_rate": 2e-3},
        }
    )
    config.sight.scenes = {
        "cut": 0.5,
        "period": (64 / 14, 64 / 1.5),
        "picture_damage": 0.25,
    }
    config.sound.update(
        {
            "epochs": 8,
            "examples": "device",
            "batch": 32,
            "epoch_steps": 100,
            "squeeze": "random",
            "class_bias_range": 20.0,
            "record_under": 10.0,
            "optimiser": adamw | {"learning_rate": 2e-3},
        }
    )
    config.sound.augment = {
        "noise": 0.3,
        "reverse": 0.0,
        "append": 0.0,
        "resize": 0.3,
        "band": 0.3,
        "band_rows": 0,
    }
    config.sound.scenes = {
        "frames": 240,
        "cut": 0.5,
        "period": (5.0, 75.0),
        "max_cycles": 96,
        "sound_damage": 0.4,
    }
    config.stride.update(
        {"batch": 16, "strides": (1, 2, 3, 4, 5), "epochs": 5, "optimiser": adamw}
    )
    config.stride.optimiser.learning_rate = 1e-3
    config.reliability.update(
        {"batch": 16, "epochs": 20, "optimiser": adamw, "evaluate_epochs": 5}
    )
    config.reliability.optimiser.learning_rate = 3e-3
    # At the true stride sight is better than it will be: the sound would be trusted too little.
    config.reliability.stride = "ranker"
    # The paper's videos were chosen for their sound; a part of these are silent or misleading.
    config.reliability.sound_threshold = 1.5
    return config


def _quarter() -> ml_collections.ConfigDict:
    """Both encoders at a quarter of their width, on scenes."""
    config = scenes()
    config.name = "sight-sound-small"
    config.model.sight_width = 0.25
    config.model.sound_width = 0.25
    config.data.workers = 0
    config.sound.update({"batch": 16, "windows": 2})
    config.reliability.update({"epochs": 9, "evaluate_epochs": 9})
    return config


def small() -> ml_collections.ConfigDict:
    """The whole recipe on two CPU cores, from scratch."""
    config = _quarter()
    config.data.size = 40
    for split, number in (("train", 400), ("val", 32), ("test", 200)):
        config.data[split].number = number
    # A network this small, trained for minutes, learns to count where little else moves.
    calm = {"camera": 0.5, "distractor": 0.15, "shot_change": 0.0, "pause": 0.1}
    for videos in (
        *(config.data[split].scenes for split in ("train", "val", "test")),
        config.sight.scenes,
        config.sound.scenes,
    ):
        videos.update(calm)
    # The ranker also sees clips too short for their motion: a network that never did takes a slow
    # motion for a fast one.
    config.sight.scenes.period = (64 / 14, 106.0)
    config.sight.update({"batch": 16, "epochs": 4, "epoch_steps": 300})
    config.sound.update({"epochs": 3, "epoch_steps": 140})
    config.stride.update({"epochs": 12, "evaluate_epochs": 6})
    return config


def refined() -> ml_collections.ConfigDict:
    """On from the shipped weights, on scenes with all that makes them hard, at 112 pixels."""
    config = _quarter()
    config.start.model = "sight-sound-small"
    for split, number in (("train", 300), ("val", 24), ("test", 120)):
        config.data[split].number = number
    config.sight.scenes.period = (64 / 14, 64 / 1.2)
    # The class biases are learned already and not spread anew.
    config.sight.update(
        {"batch": 8, "epochs": 4, "epoch_steps": 220, "class_bias_range": 0.0}
    )
    config.sight.optimiser.learning_rate = 8e-4
    config.sound.update({"epochs": 2, "epoch_steps": 130, "class_bias_range": 0.0})
    config.sound.optimiser.learning_rate = 1e-3
    config.stride.update({"epochs": 7, "evaluate_epochs": 7})
    return config


VARIANTS = {
    "": paper,
    "released": released,
    "scenes": scenes,
    "small": small,
    "refined": refined,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
