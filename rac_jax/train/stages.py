"""A recipe's stages in their order, each a unit that can be resumed.

A stage's folder in the workdir holds its checkpoints and metrics, and when it is done
`variables.safetensors` (the parameter groups it trained), what it leaves for the next stages
(`predictions.json`, say) and `finished.json`. A finished stage is not run again; one that was
made with other settings is an error.
"""

import contextlib
import functools
import json
import logging
import os
import time
import zlib
from collections.abc import Generator
from typing import Any

import jax
import ml_collections
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data import pipeline
from rac_jax.train import checkpoints, hosts, loop, stage_files
from rac_jax.train import mesh as meshes
from rac_jax.train.logging import busy
from rac_jax.train.recipe import (
    ArrayExamples,
    Batch,
    RenderedExamples,
    Stage,
    StoredExamples,
    Task,
    VideoExamples,
)
from rac_jax.train.run import Run, identity

LOG = logging.getLogger("rac_jax.train")
EVALUATION = "evaluation.json"
# Fields of a batch of videos that stay on the host.
HOST_ONLY = ("index", "broken")


def run_stages(run: Run, variables: Variables) -> Variables:
    """Runs what is not finished yet, and measures the result.

    Args:
      run: the run.
      variables: {"params", "batch_stats"} that the first stage begins with.

    Returns:
      The trained variables; the measurement is in the workdir's `evaluation.json`.

    Raises:
      ValueError: for a broken stage file, a workdir of another run, or a stage that would
        lose what it learns.
      TrainingError, Stopped: as `loop.fit`.
    """
    changed = False
    for stage in run.stages:
        folder = run.workdir / stage.name
        if run.config.share_stages:
            adopt_sibling(run, stage)
        if not is_finished(run, stage):
            changed = True
            _run_stage(run, stage, variables)
        hosts.barrier(f"{stage.name} finished")
        own = stage_files.load_variables(folder / stage_files.VARIABLES)
        variables = {kind: tree | own.get(kind, {}) for kind, tree in variables.items()}
    if changed or not is_measured(run):
        with busy("measuring on the test videos", jax.process_index() == 0):
            measured = run.recipe.evaluate(run, variables)
        record = {"test": _test_videos(run)} | measured
        stage_files.write_json(run.workdir / EVALUATION, record)
    hosts.barrier("measured")
    return variables


def check_workdir(run: Run) -> None:
    """Checks that what the run's stages have left so far, if anything, was left by this run.

    Raises:
      StageFileError, CheckpointError: naming the file and the setting that differs.
    """
    for stage in run.stages:
        if is_finished(run, stage):
            continue
        folder = run.workdir / stage.name / checkpoints.FOLDER
        if folder.exists():
            with checkpoints.Checkpoints(folder, identity(run.config, stage)) as saved:
                if saved.latest is not None:
                    saved.check(saved.latest)
    # Nobody begins to write while another process still looks.
    hosts.barrier("workdir checked")


def _run_stage(run: Run, stage: Stage, variables: Variables) -> None:
    """Trains a stage and leaves its files; `finished.json` comes last."""
    began, folder = time.monotonic(), run.workdir / stage.name
    LOG.info("stage %s", stage.name)
    with busy(f"{stage.name}: preparing", jax.process_index() == 0):
        task = stage.task(run, variables)
    _check_task(stage, task)
    trained = fit_stage(run, stage, task, variables)
    record = task.record(trained)
    own = {
        kind: {name: tree[name] for name in stage.leaves if name in tree}
        for kind, tree in trained.items()
    }
    stage_files.save_variables(folder / stage_files.VARIABLES, own)
    if record is not None:
        stage_files.write_json(folder / stage_files.PREDICTIONS, record)
    spent = time.monotonic() - began
    finished = {"identity": identity(run.config, stage), "seconds": spent}
    stage_files.write_json(folder / stage_files.FINISHED, finished)
    LOG.info("stage %s finished after %.0f s", stage.name, spent)


def _check_task(stage: Stage, task: Task) -> None:
    """Checks that nothing that a task learns would be lost.

    Raises:
      ValueError: if it has another name than its stage, or trains a group of parameters that
        is neither auxiliary nor left by the stage.
    """
    if task.name != stage.name:
        raise ValueError(f"stage {stage.name}: its task calls itself {task.name!r}")
    groups = {prefix.partition("/")[0] for prefix in task.trained}
    lost = groups - set(stage.leaves) - set(task.auxiliary)
    if lost:
        raise ValueError(
            f"stage {stage.name}: trains {min(lost)!r}, but does not leave it"
        )


def is_measured(run: Run) -> bool:
    """Whether the measurement of these test videos is there."""
    path = run.workdir / EVALUATION
    if not path.exists():
        return False
    return stage_files.read_json(path, "estimators", "test")["test"] == _test_videos(
        run
    )


def _test_videos(run: Run) -> dict[str, Any]:
    """The section of the test videos as JSON has it."""
    return json.loads(json.dumps(run.config.data.test.to_dict()))


def is_finished(run: Run, stage: Stage) -> bool:
    """Whether a stage is done.

    Raises:
      StageFileError: if it was done with other settings.
    """
    path = run.workdir / stage.name / stage_files.FINISHED
    if not path.exists():
        return False
    found = stage_files.read_json(path, "identity")["identity"]
    for name, value in identity(run.config, stage).items():
        if found.get(name) != value:
            raise stage_files.StageFileError(
                f"{path}: was made with {name} = {found.get(name)!r}, this run has "
                f"{value!r}; use another workdir"
            )
    return True


def adopt_sibling(run: Run, stage: Stage) -> None:
    """Takes over a stage from another run of the same sweep that has the same settings."""
    own, wanted = run.workdir / stage.name, identity(run.config, stage)
    others = sorted(run.workdir.parent.glob(f"*/{stage.name}/{stage_files.FINISHED}"))
    for path in [] if own.exists() or jax.process_index() else others:
        if stage_files.read_json(path, "identity")["identity"] == wanted:
            own.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.path.relpath(path.parent.resolve(), own.parent), own)
            LOG.info("stage %s: taken over from %s", stage.name, path.parent)
            break
    hosts.barrier(f"adopt {stage.name}")


def fit_stage(run: Run, stage: Stage, task: Task, variables: Variables) -> Variables:
    """Trains a stage of this run.

    Args:
      run: the run.
      stage: which.
      task: what it learns.
      variables: what it begins with.

    Returns:
      All variables on the host, without what only training needs.

    Raises:
      ValueError: if there is no length of an epoch.
      TrainingError, Stopped, CheckpointError: as `loop.fit`.
    """
    settings = run.config[stage.name]
    per_epoch = epoch_steps(run, task)
    steps = settings.epochs * per_epoch
    plan = loop.Plan(
        steps=steps,
        epoch_steps=per_epoch,
        batches=functools.partial(device_batches, run, task, settings, steps),
        mesh=run.mesh,
        folder=run.workdir / stage.name,
        identity=identity(run.config, stage),
        key=run.key(stage.name),
        stop=run.stop,
    )
    state = loop.fit(task, settings, variables, plan)
    return loop.kept(task, state)


def epoch_steps(run: Run, task: Task) -> int:
    """Batches to an epoch; where the config has 0, until every training video was seen.

    Raises:
      ValueError: for examples that are not cut out of videos.
    """
    settings = run.config[task.name]
    if settings.epoch_steps:
        return settings.epoch_steps
    if isinstance(task.examples, VideoExamples):
        return -(-len(run.source(task.examples.split)) // settings.batch)
    raise ValueError(
        f"{task.name}.epoch_steps: must be above 0, these examples have no epoch of "
        "their own"
    )


def device_batches(
    run: Run, task: Task, settings: ml_collections.ConfigDict, steps: int, start: int
) -> Generator[Batch, None, None]:
    """The device batches of a stage, each a function of its number alone.

    Args:
      run: the run.
      task: whose examples they are made of.
      settings: the stage's section.
      steps: where they end; rendered ones do not end.
      start: batches already taken.
    """
    rows = meshes.local_rows(run.mesh, settings.batch)
    put = functools.partial(
        meshes.put_batch, mesh=run.mesh, rows=rows, number=settings.batch
    )
    examples = task.examples
    if isinstance(examples, RenderedExamples):
        # The same numbers in every step: what is rendered from them depends on the step's key.
        numbers = put({"row": np.arange(settings.batch, dtype=np.int32)[rows]})
        while True:
            yield numbers
    if isinstance(examples, ArrayExamples):
        host = _drawn(examples, rows, start, steps)
    elif isinstance(examples, StoredExamples):
        host = (examples.read(number, rows) for number in range(start, steps))
    else:
        host = _read(run, task, examples, settings, rows, start, steps)
    yield from pipeline.prefetch(host, put)


def _drawn(
    examples: ArrayExamples, rows: np.ndarray, start: int, steps: int
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of batches from arrays."""
    for number in range(start, steps):
        batch = examples.draw(number)
        yield {name: array[rows] for name, array in batch.items()}


def _read(
    run: Run,
    task: Task,
    examples: VideoExamples,
    settings: ml_collections.ConfigDict,
    rows: np.ndarray,
    start: int,
    steps: int,
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of batches from videos; those that cannot be read are reported."""
    videos = run.source(examples.split)
    broken = pipeline.BrokenVideos(videos)
    found = pipeline.make_batches(
        videos,
        examples.sampler,
        seed=zlib.crc32(f"{run.config.seed} {task.name}".encode()),
        batch=settings.batch,
        batches=steps,
        start=start,
        rows=rows,
        workers=run.config.data.workers,
    )
    with contextlib.closing(found):
        for batch in found:
            broken.note(batch)
            yield {name: batch[name] for name in batch if name not in HOST_ONLY}
