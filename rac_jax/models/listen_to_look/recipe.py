"""Training a student or a skimming network; which of the two, the config's `model.part` says.

A student is taught by a trained classifier (`--config.teacher=MODEL`), skimming learns on stored
features. The other stage of the two has no epochs and is left out.
"""

from typing import Any

from rac_jax.counting.family import Variables
from rac_jax.models import listen_to_look, loading
from rac_jax.models.listen_to_look import distil_task, skim_task, stored_task
from rac_jax.models.listen_to_look.distil_task import DistilTask, Teacher
from rac_jax.models.listen_to_look.skim_task import SkimTask
from rac_jax.models.listen_to_look.skimming import INDEXING, VISUAL
from rac_jax.models.listen_to_look.student import DESCRIPTOR, check_senses
from rac_jax.train.class_scores import METRICS
from rac_jax.train.feature_task import check_stored_epochs
from rac_jax.train.recipe import Recipe, Stage, Task
from rac_jax.train.run import Run

EXAMPLES = ("videos", "scenes")
COMMON = ("model", "data")


def _distils(run: Run) -> bool:
    return run.config.model.part == listen_to_look.STUDENT


def teacher_of(run: Run) -> Teacher:
    """The teacher that the config names.

    Raises:
      ValueError: if it names none, or one that does not fit the student.
    """
    name = run.config.teacher
    if not name:
        raise ValueError("teacher: must name a model folder, of a classifier of clips")
    network, variables, config = loading.load_model(name)
    told = config.get("preprocessing", {})
    if "class_names" not in config or "clip_frames" not in told:
        raise ValueError(f"teacher: {name} is no classifier of clips")
    if len(config["class_names"]) != run.network.classes:
        raise ValueError(
            f"model.classes: {run.network.classes}, the teacher {name} has "
            f"{len(config['class_names'])}"
        )
    found = Teacher(network, variables, config)
    wanted = DESCRIPTOR if run.network.released else 2 * run.network.each
    if found.features != wanted:
        raise ValueError(
            f"model.each: the student has {wanted} features, the teacher {name} has "
            f"{found.features}"
        )
    return found


def distil(run: Run, variables: Variables) -> Task:
    """The task of the student's stage, from clips or from what is stored of them."""
    del variables
    return stored_task.stored_or_not(DistilTask(run, teacher_of(run)))


def skim(run: Run, variables: Variables) -> SkimTask:
    """The task of skimming's stage."""
    del variables
    return SkimTask(run, skim_task.classes_of(run))


def check(run: Run) -> None:
    """Checks what only this family has.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    wanted, other = skim_task.STAGE, distil_task.STAGE
    if _distils(run):
        wanted, other = other, wanted
    if not config[wanted].epochs or config[other].epochs:
        raise ValueError(
            f"{wanted}.epochs: must be above 0 and {other}.epochs 0 for the part "
            f"{config.model.part!r}"
        )
    if _distils(run):
        _check_distilling(run)
        return
    words = INDEXING if run.network.banks == 2 else INDEXING[: INDEXING.index(VISUAL)]
    for section in (skim_task.STAGE, "evaluation"):
        if config[section].indexing not in words:
            raise ValueError(
                f"{section}.indexing: {config[section].indexing!r} is not one of "
                f"{', '.join(words)}"
            )
        if config[section].steps < 1:
            raise ValueError(f"{section}.steps: must be at least 1")
    shortest, longest = config.skim.lengths
    if not config.skim.steps <= shortest <= longest:
        raise ValueError(
            f"skim.lengths: {tuple(config.skim.lengths)} is not (shortest, longest) "
            f"from skim.steps, {config.skim.steps}, on"
        )
    skim_task.classes_of(run)
    for split in ("val", "test"):
        skim_task.of_split(run, split)


def _check_distilling(run: Run) -> None:
    config = run.config
    check_senses(run.network.senses, run.network.released)
    if config.distil.examples not in EXAMPLES:
        raise ValueError(
            f"distil.examples: {config.distil.examples!r} is not one of "
            f"{', '.join(EXAMPLES)}"
        )
    if config.distil.examples == "scenes" and not config.distil.epoch_steps:
        raise ValueError("distil.epoch_steps: must be above 0")
    check_stored_epochs(run, distil_task.STAGE)
    if not config.distil.temperature > 0 or config.distil.weight < 0:
        raise ValueError("distil: temperature must be above 0, weight at least 0")
    teacher_of(run)
    splits = ("val", "test") if config.distil.examples == "scenes" else ()
    run.check_splits(splits or ("train", "val", "test"))


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` of the model in training."""
    config = run.config
    shared = {
        "name": config.name,
        "family": run.family.name,
        "arguments": config.model.to_dict(),
    }
    if not _distils(run):
        settings = {name: config.evaluation[name] for name in ("steps", "indexing")}
        names = list(skim_task.classes_of(run))
        return shared | {"preprocessing": settings, "class_names": names}
    told = teacher_of(run).config
    kept = {name: told["preprocessing"][name] for name in ("size", "mean", "std")}
    return shared | {
        "preprocessing": kept | {"audio_rate": config.data.audio_rate},
        "class_names": list(told["class_names"]),
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test videos, with `evaluation.teacher` the teacher beside its student."""
    found = {}
    if _distils(run):
        task = DistilTask(run, teacher_of(run))
        found[run.config.model.part] = task.scored(variables, "test")
        if run.config.evaluation.teacher:
            found["teacher"] = task.teacher_scored("test")
    else:
        names = skim_task.classes_of(run)
        found[run.config.model.part] = skim_task.scored(run, names, variables, "test")
    return {
        "metrics": list(METRICS),
        "estimators": found,
        "challenges": {},
        "videos": [],
    }


RECIPE = Recipe(
    stages=(
        Stage(
            distil_task.STAGE,
            distil,
            (*COMMON, "teacher", distil_task.STAGE),
            distil_task.GROUPS,
            optional=True,
        ),
        Stage(
            skim_task.STAGE,
            skim,
            (*COMMON, skim_task.STAGE),
            skim_task.GROUPS,
            optional=True,
        ),
    ),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
