"""Encoders trained to name actions: what every counting system here starts from.

    rac train --config pretrain:quick --workdir W
    rac train --config pretrain:r2plus1d --workdir W --config.model.classes=400 \\
        --config.data.train.path=kinetics:train.csv,videos=kinetics/ \\
        --config.data.val.path=kinetics:val.csv,videos=kinetics/ \\
        --config.data.test.path=kinetics:val.csv,videos=kinetics/
    rac train --config sight_sound --workdir V --config.start.sight_encoder=W/export

Without a variant an S3D on clips of 64 frames. `r2plus1d`, `swin`, `images` (a ResNet-50 as far
as RepNet has it) and `sound` (VGGSound's ResNet-18 on 5 s of sound) have the sizes in which
other families take them, `i3d` is paper 3's baseline on its videos (`configs/pretrain_sweeps.py`,
`--config.start.encoder=i3d-kinetics`); these want a GPU or more and days on Kinetics-400, and have not been
run at that size. `quick` tells the seven kinds of motion of procedural scenes apart, with the
encoder of `repnet:small`: 600 steps of 0.6 s of CPU; 250 of them tell 0.80 of 70 test scenes right
(chance is 0.14).
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


def full() -> ml_collections.ConfigDict:
    """S3D on Kinetics-400."""
    config = ml_collections.ConfigDict()
    config.family = "classifier"
    config.name = "kinetics-s3d"
    config.seed = 0
    # Of the encoder: bfloat16 on accelerators, float32 on CPU.
    config.precision = "auto"
    config.mesh = {"data": -1, "fsdp": 1}
    config.share_stages = False
    # On CPU: whether what a step frees is kept for the next.
    config.keep_memory = True
    # A model to begin with; --config.start.encoder=MODEL for a converted network.
    config.start = {"model": ""}
    config.model = {
        "encoder": "s3d",
        "classes": 400,
        # Or "sound".
        "input": "frames",
        "width": 1.0,
        "dropout": 0.5,
        "blocks": (),
    }
    # Names in the order of their numbers; empty for the labels of the training videos.
    config.classes = ()
    # Of frames: how many, how far apart, and the size that a crop is resized to.
    config.clips = {"frames": 64, "stride": 1, "size": 224, "colours": "imagenet"}
    # Of sounds: columns of a spectrogram, 159 samples each.
    config.sound = {"columns": 500}
    # Clips along a test video, and crops of each.
    config.evaluation = {"clips": 10, "crops": 3}
    config.data = {
        # Frames are stored so large; crops are taken from them.
        "size": 256,
        "audio_rate": 22050,
        "workers": 12,
        "cache": "",
        "train": _split("csv"),
        "val": _split("csv"),
        "test": _split("csv"),
    }
    config.classify = {
        # Parts of the videos of data.train, or "scenes", rendered in the step.
        "examples": "videos",
        "epochs": 100,
        # 0: as many as the training videos give.
        "epoch_steps": 0,
        "batch": 64,
        "accumulate": 1,
        "average_decay": 0.9999,
        "rematerialise": "nothing",
        "optimiser": {
            "name": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 5e-5,
            "clip": 0.0,
            "schedule": "cosine",
            "warmup": 2000,
        },
        "evaluate_epochs": 5,
        "keep_best": False,
        "log_steps": 50,
        "checkpoint_steps": 1000,
        # Parameters that learn, by the beginnings of their paths; empty for all.
        "trained": (),
        "label_smoothing": 0.1,
        "augment": {
            # Least and most of the picture that a crop covers.
            "area": (0.3, 1.0),
            "flip": 0.5,
            "colour": 0.4,
            # Alpha of mixup, 0 for none.
            "mixup": 0.0,
            # Of spectrograms: most rows and columns of a mask, and how many of each.
            "rows": 32,
            "columns": 60,
            "bands": 2,
        },
        "scenes": {},
    }
    return config


def r2plus1d() -> ml_collections.ConfigDict:
    """R(2+1)D-18, 16 frames of 112 pixels."""
    config = full()
    config.name = "kinetics-r2plus1d18"
    config.model.encoder = "r2plus1d18"
    config.clips.update({"frames": 16, "stride": 2, "size": 112})
    config.data.size = 128
    return config


def swin() -> ml_collections.ConfigDict:
    """Video Swin, tiny, 32 frames of 224 pixels, with AdamW; as TransRAC and LMRL take it."""
    config = full()
    config.name = "kinetics-swin"
    config.model.encoder = "video_swin"
    config.clips.update({"frames": 32, "stride": 2, "colours": "symmetric"})
    config.classify.epochs = 30
    config.classify.optimiser.update(
        {
            "name": "adamw",
            "learning_rate": 1e-3,
            "weight_decay": 0.02,
            "clip": 1.0,
        }
    )
    config.classify.augment.mixup = 0.8
    return config


def images() -> ml_collections.ConfigDict:
    """A ResNet-50 on single frames, up to the block that RepNet stops at."""
    config = full()
    config.name = "kinetics-frames-resnet50"
    config.model.update({"encoder": "resnet50v2", "blocks": (3, 4, 3)})
    config.clips.update({"frames": 1, "stride": 1, "size": 112, "colours": "symmetric"})
    config.data.size = 128
    config.classify.update({"batch": 256})
    return config


def sound() -> ml_collections.ConfigDict:
    """VGGSound's ResNet-18 on spectrograms of 5 s at 16 kHz (here at the rate of data)."""
    config = full()
    config.name = "vggsound-resnet18"
    config.model.update(
        {"encoder": "resnet18", "classes": 309, "input": "sound", "dropout": 0.0}
    )
    # Frames are not looked at.
    config.data.size, config.clips.size = 16, 16
    config.evaluation.crops = 1
    config.classify.update({"epochs": 50, "batch": 256})
    config.classify.optimiser.update(
        {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4}
    )
    config.classify.augment.mixup = 0.2
    return config


def quick() -> ml_collections.ConfigDict:
    """Kinds of motion of scenes that are rendered in the step."""
    config = full()
    config.name = "scenes-plain"
    kinds = ("orbit", "stroke", "limb", "figure", "wheel", "bounce", "breath")
    config.classes = kinds
    config.model.update(
        {"encoder": "plain", "classes": len(kinds), "width": 0.25, "dropout": 0.0}
    )
    config.clips.update({"frames": 16, "stride": 2, "size": 64, "colours": "symmetric"})
    config.evaluation.update({"clips": 3, "crops": 1})
    config.data.update({"size": 72, "workers": 0})
    easy = {
        "frames": 48,
        "period": (6.0, 24.0),
        "still": 0.0,
        "pause": 0.0,
        "shot_change": 0.0,
        "camera": 0.0,
        "distractor": 0.0,
        "clean": True,
    }
    numbers = (("train", 8), ("val", 32), ("test", 210))
    for place, (split, number) in enumerate(numbers):
        config.data[split].update(
            {"kind": "scenes", "number": number, "seed": place + 1, "scenes": easy}
        )
    config.classify.update(
        {
            "examples": "scenes",
            "epochs": 2,
            "epoch_steps": 300,
            "batch": 16,
            "average_decay": 0.99,
            "evaluate_epochs": 1,
            "log_steps": 25,
            "checkpoint_steps": 100,
            "scenes": {name: easy[name] for name in easy if name != "frames"},
        }
    )
    config.classify.optimiser.update(
        {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-4, "warmup": 30}
    )
    config.classify.augment.update({"area": (0.6, 1.0)})
    return config


def i3d() -> ml_collections.ConfigDict:
    """I3D naming the 40 activities of paper 3's videos, 4 s of black-barred squares."""
    config = full()
    config.name = "exercises-i3d"
    config.model.update({"encoder": "i3d", "classes": 40, "dropout": 0.5})
    config.clips.update({"frames": 64, "stride": 2, "colours": "symmetric"})
    config.evaluation.update({"clips": 3, "crops": 1})
    config.data.update({"size": 256, "pad": True})
    config.data.train.per_class = 0
    config.classify.update({"epochs": 40, "batch": 16, "average_decay": 0.0})
    config.classify.update({"label_smoothing": 0.0})
    config.classify.optimiser.update(
        {"name": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4, "warmup": 20}
    )
    # Nearly the whole of a square, never turned round: which leg it is may be the class.
    config.classify.augment.update({"area": (1.0, 1.0), "flip": 0.0})
    config.clips.size = 256
    return config


VARIANTS = {
    "": full,
    "i3d": i3d,
    "images": images,
    "quick": quick,
    "r2plus1d": r2plus1d,
    "sound": sound,
    "swin": swin,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config of a variant."""
    if variant not in VARIANTS:
        known = ", ".join(name for name in VARIANTS if name)
        raise ValueError(f"no variant {variant!r}; there are: {known}")
    return VARIANTS[variant]()
