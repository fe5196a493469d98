"""Training a classifier: one stage, measured by several views, exported with its classes."""

from typing import Any

from rac_jax.counting.family import Variables
from rac_jax.models.classifier import evaluation
from rac_jax.models.classifier.inputs import COLOURS
from rac_jax.models.classifier.network import FRAMES, IMAGES, SOUND, find_kind
from rac_jax.models.classifier.task import GROUPS, STAGE, ClassTask
from rac_jax.ops.sound_format import BINS, OVERLAP, WINDOW
from rac_jax.scenes import KINDS
from rac_jax.train.class_scores import METRICS
from rac_jax.train.classes import class_names
from rac_jax.train.recipe import Recipe, Stage
from rac_jax.train.run import Run

EXAMPLES = ("videos", "scenes")
READS = ("model", "classes", "clips", "sound", "data", STAGE)


def make_task(run: Run, variables: Variables) -> ClassTask:
    """The task of the one stage."""
    del variables
    return ClassTask(run, class_names(run, "classes"))


def check(run: Run) -> None:
    """Checks what only this family has.

    Raises:
      ValueError: naming the field.
    """
    config, settings = run.config, run.config[STAGE]
    kind = find_kind(config.model.encoder)
    if run.network.input not in (FRAMES, SOUND):
        raise ValueError(f"model.input: {run.network.input!r} is not frames or sound")
    if run.network.input == SOUND and kind.sees != IMAGES:
        raise ValueError(f"model.encoder: {config.model.encoder} cannot hear")
    if settings.examples not in EXAMPLES:
        raise ValueError(
            f"{STAGE}.examples: {settings.examples!r} is not one of {', '.join(EXAMPLES)}"
        )
    _check_numbers(run)

    # Where examples come from, and that the classes are as many as the model has.
    wanted = ("val", "test")
    if settings.examples == "scenes":
        if run.network.input == SOUND:
            raise ValueError(f"{STAGE}.examples: the sound of scenes has no class")
        if not config.classes or set(config.classes) - set(KINDS):
            raise ValueError(f"classes: must be some of {', '.join(KINDS)}")
        if not settings.epoch_steps:
            raise ValueError(f"{STAGE}.epoch_steps: must be above 0")
    else:
        wanted = ("train", *wanted)
    run.check_splits(wanted)
    if config.classes or config.data.train.kind in ("csv", "folder"):
        class_names(run, "classes")


def _check_numbers(run: Run) -> None:
    """Checks the ranges of numbers.

    Raises:
      ValueError: naming the field.
    """
    config, settings = run.config, run.config[STAGE]
    change = settings.augment
    if config.clips.colours not in COLOURS:
        raise ValueError(
            f"clips.colours: {config.clips.colours!r} is not one of {', '.join(COLOURS)}"
        )
    if not 0 < config.clips.size <= config.data.size:
        raise ValueError(
            f"clips.size: {config.clips.size} is not from 1 to data.size, "
            f"{config.data.size}"
        )
    for section, names in (
        (config.clips, ("frames", "stride")),
        (config.sound, ("columns",)),
        (config.evaluation, ("clips", "crops")),
    ):
        for name in names:
            if section[name] < 1:
                raise ValueError(f"{name}: {section[name]} is not positive")
    shares = {"label_smoothing": settings.label_smoothing}
    shares |= {f"augment.{name}": change[name] for name in ("flip", "colour")}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{STAGE}.{name}: {value} is not from 0 to 1")
    low, high = change.area
    if not 0 < low <= high <= 1:
        raise ValueError(
            f"{STAGE}.augment.area: {tuple(change.area)} is not (least, most) of (0, 1]"
        )
    limits = {"rows": BINS, "columns": config.sound.columns}
    for name, most in limits.items():
        if not 0 <= change[name] < most:
            raise ValueError(
                f"{STAGE}.augment.{name}: {change[name]} is not from 0 to {most - 1}"
            )
    if change.mixup < 0 or change.bands < 1:
        raise ValueError(f"{STAGE}.augment: mixup must be at least 0, bands at least 1")


def preprocessing(run: Run) -> dict[str, Any]:
    """The `preprocessing` of the model's `config.json`."""
    config = run.config
    if run.network.input == SOUND:
        return {
            "audio_rate": config.data.audio_rate,
            "nperseg": WINDOW,
            "noverlap": OVERLAP,
            "columns": config.sound.columns,
        }
    return {
        "clip_frames": config.clips.frames,
        "stride": config.clips.stride,
        "size": config.clips.size,
        "resized": config.data.size,
        **COLOURS[config.clips.colours],
    }


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` of the model in training."""
    return {
        "name": run.config.name,
        "family": run.family.name,
        "arguments": run.config.model.to_dict(),
        "preprocessing": preprocessing(run),
        "class_names": list(class_names(run, "classes")),
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test videos, by one view of each and by all of them."""
    views = run.config.evaluation
    measured: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for clips, crops in dict.fromkeys(((1, 1), (views.clips, views.crops))):
        found, rows = evaluation.scored(
            run, class_names(run, "classes"), variables, "test", clips, crops
        )
        measured[f"{clips}x{crops} views"] = found
    return {
        "metrics": list(METRICS),
        "estimators": measured,
        "challenges": {},
        "videos": rows,
    }


RECIPE = Recipe(
    stages=(Stage(STAGE, make_task, READS, GROUPS),),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
