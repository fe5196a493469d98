"""SI-EN on procedural scenes whose phases are known, and on videos of exercises.

    rac train --config configs/sien.py:small --workdir W
    rac train --config configs/sien.py:quick --workdir W
    rac train --config configs/sien.py --workdir W --config.start.model=sien-imagenet

The default has paper 3's sizes, for a GPU: 256 pixels, all of the network from what it is started
with (`rac convert sien`); `--config.clips.layers=10` trains the last ten entries alone, as the
paper does. `small` is a narrow network on 64 pixels, `people` a narrower one on 32 pixels of the
scenes of `configs/skeleton_phases.py`, `quick` minutes of one. They begin from nothing, so they
have batch normalisations, and a first convolution that sees three frames: as published they did
not leave blind guessing in as many steps as a CPU core can be given (docs/experiments.md). What
`people` learned is in docs/sien.md; `small` and `quick` were not trained since.

    rac train --config configs/sien.py:exercises --workdir W --config.start.encoder=sien-imagenet \\
        --config.data.train.path=qar_evd:FOLDER/train --config.data.val.path=... ...
    rac train --config configs/sien.py:tagged --workdir W --config.start.encoder=sien-imagenet \\
        --config.data.train.path=sense:PROJECT,split=train ...

`exercises` names the 40 activities of paper 3's videos (its Table 4), `tagged` counts by the phases
of videos whose cycles are labelled (Table 5), both with the last ten entries trained, as the paper
does; `si-blazepose` is `exercises` with the network that `rac convert si-blazepose` makes
(`--config.start.encoder=si-blazepose`). None was run on the paper's videos, which are not public. Sweeps: `configs/sien_sweeps.py`.

Schemes: `--config.counting.scheme=middles --config.model.phases=4`, or `ends` and 3.
"""

import ml_collections

# Motions of which one can see in a picture where they begin and where they turn round: a tool that
# strikes, and a person. Of a limb or a thing that swells nobody can tell the first half from the
# second without having seen it begin.
KINDS = ("stroke", "figure")


def _split(number: int, seed: int) -> dict:
    scenes = {"kinds": KINDS, "still": 0.1, "pause": 0.3, "max_cycles": 40}
    part = {"number": number, "frames": 240, "fps": 25.0, "period": (18.0, 75.0)}
    return {
        "kind": "scenes",
        "path": "",
        "split": "",
        "number": 0,
        "seed": seed,
        "scenes": {},
        "parts": {"exercises": part | scenes},
    }


def full() -> ml_collections.ConfigDict:
    """The published sizes, on scenes."""
    config = ml_collections.ConfigDict()
    config.family = "sien"
    config.name = "sien"
    config.seed = 0
    # "auto": bfloat16 convolutions on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    config.keep_memory = True
    # A model to begin with; --config.start.encoder=MODEL for the encoder alone.
    config.start = {"model": ""}
    # Names of activities in the order of their numbers; empty for the training videos' labels.
    config.classes = ()
    config.model = {
        "kind": "efficientnet",
        "width": 1.4,
        "depth": 1.8,
        "head": 1280,
        "padding": "symmetric",
        # Whether the first convolution sees three frames too, and whether there are batch
        # normalisations: for a network that starts from nothing, see `small`.
        "stem_looks_back": False,
        "norm": False,
        "activities": 0,
        "phases": 3,
    }
    # What pixels become: of values in 0..1, in the order of colours.
    config.input = {
        "fps": 16.0,
        "colour": "bgr",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    # "ends", "middles" or "halves"; "argmax" or "thresholds".
    config.counting = {"scheme": "halves", "decoder": "argmax"}
    # Weight of the class that most frames have, with "ends" and "middles".
    config.loss = {"frequent": 0.2}
    config.data = {
        "size": 256,
        # Of videos: whether black bars keep the aspect ratio.
        "pad": True,
        "audio_rate": 22050,
        "workers": 2,
        "cache": "",
        # Of the training videos so many of every label, 0 for all.
        "train": _split(4, 1) | {"per_class": 0},
        "val": _split(20, 2),
        "test": _split(100, 3),
    }
    config.clips = {
        "epochs": 20,
        "epoch_steps": 500,
        "batch": 16,
        "accumulate": 1,
        "average_decay": 0.0,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "adamw",
            "learning_rate": 1e-4,
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
        # "phases", or "activities" of videos; and from what: "scenes" that are rendered in the
        # step, or "videos", parts of those of data.train.
        "learns": "phases",
        "examples": "scenes",
        "frames": 63,
        # Clips that follow each other in time.
        "together": 4,
        # Clips on which the first weights of a network that starts from nothing are
        # standardised, layer by layer; 0 for none.
        "standardise": 8,
        # The encoder's last entries that are trained; -1 for all, 0 for the head alone.
        "layers": -1,
        "scenes": {
            "whole": {
                "share": 0.5,
                "kinds": KINDS,
                "period": (12.0, 40.0),
                "still": 0.1,
                "pause": 0.3,
            },
            "cut": {
                "share": 0.5,
                "kinds": KINDS,
                "period": (12.0, 56.0),
                "cut": 1.0,
                "still": 0.1,
            },
        },
    }
    return config


def small() -> ml_collections.ConfigDict:
    """A narrow network on small pictures, for two CPU cores."""
    config = full()
    config.name = "sien-small"
    config.model.update({"width": 0.5, "depth": 1.0, "head": 256})
    config.model.update({"stem_looks_back": True, "norm": True})
    config.data.size, config.data.workers = 64, 0
    config.data.test.parts.exercises.number = 40
    config.clips.update({"epochs": 4, "epoch_steps": 250, "batch": 8})
    config.clips.optimiser.update({"learning_rate": 1e-3, "warmup": 100})
    return config


def quick() -> ml_collections.ConfigDict:
    """Minutes on two CPU cores, of one kind of motion: it shows that it runs, no more."""
    config = small()
    config.name = "sien-quick"
    config.model.update({"width": 0.25, "head": 128})
    config.data.size = 48
    config.data.val.parts.exercises.number = 10
    config.data.test.parts.exercises.number = 20
    config.clips.update({"epochs": 2, "epoch_steps": 150})
    easy = {"kinds": ("figure",), "camera": 0.0, "distractor": 0.0, "shot_change": 0.0}
    for split in ("train", "val", "test"):
        config.data[split].parts.exercises.update(easy)
    for kind in ("whole", "cut"):
        config.clips.scenes[kind].update(easy)
    return config


def people() -> ml_collections.ConfigDict:
    """A narrower network on scenes of people, beside `configs/skeleton_phases.py`."""
    config = small()
    config.name = "sien-people"
    config.model.update({"width": 0.25, "depth": 0.5, "head": 64})
    config.data.size = 32
    config.data.val.parts.exercises.number = 10
    config.data.test.parts.exercises.number = 100
    config.clips.update({"epochs": 8, "epoch_steps": 250, "evaluate_epochs": 8})
    config.clips.optimiser.learning_rate = 2e-3
    people = {"kinds": ("figure",)}
    for split in ("train", "val", "test"):
        config.data[split].parts.exercises.update(people)
    # Half of the clips with nothing else in them that moves, not even the camera.
    clips = dict(config.clips.scenes.whole) | people | {"share": 0.5, "cut": 0.6}
    quiet = {"camera": 0.0, "distractor": 0.0, "shot_change": 0.0}
    config.clips.scenes = {"quiet": clips | quiet, "any": clips}
    return config


def tagged() -> ml_collections.ConfigDict:
    """The published sizes, counting on videos whose cycles are labelled; the last ten entries."""
    config = full()
    config.name = "sien-tagged"
    for split in ("train", "val", "test"):
        config.data[split].kind = "csv"
    # As a counter resizes them.
    config.data.interpolation = "bilinear"
    config.data.workers = 12
    # An epoch is as many steps as the videos give; numbers of ours, the paper has none.
    config.clips.update({"examples": "videos", "layers": 10, "epochs": 40})
    config.clips.update({"epoch_steps": 0, "evaluate_epochs": 5})
    config.clips.optimiser.warmup = 20
    return config


def exercises() -> ml_collections.ConfigDict:
    """The published sizes, naming 40 activities of videos; the last ten entries."""
    config = tagged()
    config.name = "sien-exercises"
    config.model.update({"activities": 40, "phases": 0})
    config.clips.update({"learns": "activities", "together": 1})
    return config


def si_blazepose() -> ml_collections.ConfigDict:
    """`exercises` with SI-BlazePose, of which what looks back is trained."""
    config = exercises()
    config.name = "si-blazepose-exercises"
    config.model.update({"kind": "blazepose", "width": 1.0})
    config.input.colour = "rgb"
    config.clips.layers = 8
    return config


VARIANTS = {
    "": full,
    "small": small,
    "quick": quick,
    "people": people,
    "tagged": tagged,
    "exercises": exercises,
    "si-blazepose": si_blazepose,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
