"""A recipe's stages in their order, each a unit that can be resumed.

A stage's folder in the workdir holds its checkpoints and metrics, and when it is done
`variables.safetensors` (the parameter groups it trained), what it leaves for the next stages
(`predictions.json`, say) and `finished.json`. A finished stage is not run again; one that was
made with other settings is an error.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import pathlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from rac_jax.data import pipeline
from rac_jax.train import loop, splits, stage_files
from rac_jax.train import mesh as meshes
from rac_jax.train.run import Run, identity, stage_key

LOG = logging.getLogger("rac_jax.train")
EVALUATION = "evaluation.json"
HOST_ONLY = ("index", "broken")  # of a batch


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a family is trained.

    Attributes:
      stages: name to function, in order: (run, variables, folder) -> (trained variables, a
        record for `predictions.json` or None).
      groups: name to the parameter groups that the stage leaves.
      check: raises ValueError for wrong settings, naming the field.
      evaluate: (run, variables) -> the measurement, a record with "ways".
      describe: (run, measurement) -> the exported model's `config.json` but for how it was
        trained, or None if the result is no model of the family.
    """

    stages: Mapping[str, Callable]
    groups: Mapping[str, tuple[str, ...]]
    check: Callable
    evaluate: Callable
    describe: Callable


def run_stages(run: Run, recipe: Recipe, variables: dict[str, Any]) -> dict[str, Any]:
    """Runs what is not finished yet, and measures the result.

    Args:
      run: the run.
      recipe: of its family.
      variables: {"params", "batch_stats"} that the first stage begins with.

    Returns:
      The trained variables; the measurement is in the workdir's `evaluation.json`.

    Raises:
      ValueError: for a wrong setting, a broken stage file, or a workdir of another run.
      TrainingError, Stopped: as `loop.fit`.
    """
    recipe.check(run)
    changed = False
    for stage, function in recipe.stages.items():
        folder = run.workdir / stage
        if run.config.share_stages:
            adopt_sibling(run, stage)
        if not is_finished(run, stage):
            began, changed = time.monotonic(), True
            LOG.info("stage %s", stage)
            trained, predictions = function(run, variables, folder)
            own = {
                kind: {
                    name: tree[name] for name in recipe.groups[stage] if name in tree
                }
                for kind, tree in trained.items()
            }
            stage_files.save_variables(folder / stage_files.VARIABLES, own)
            if predictions is not None:
                stage_files.write_json(folder / stage_files.PREDICTIONS, predictions)
            spent = time.monotonic() - began
            record = {"identity": identity(run.config, stage), "seconds": spent}
            stage_files.write_json(folder / stage_files.FINISHED, record)
            LOG.info("stage %s finished after %.0f s", stage, spent)
        splits.barrier(f"{stage} finished")
        own = stage_files.load_variables(folder / stage_files.VARIABLES)
        variables = {kind: tree | own.get(kind, {}) for kind, tree in variables.items()}
    if changed or not is_measured(run):
        record = {"test": _test_videos(run)} | recipe.evaluate(run, variables)
        stage_files.write_json(run.workdir / EVALUATION, record)
    splits.barrier("measured")
    return variables


def is_measured(run: Run) -> bool:
    """Whether the measurement of these test videos is there."""
    path = run.workdir / EVALUATION
    if not path.exists():
        return False
    return stage_files.read_json(path, "ways", "test")["test"] == _test_videos(run)


def _test_videos(run: Run) -> dict[str, Any]:
    """The section of the test videos as JSON has it."""
    return json.loads(json.dumps(run.config.data.test.to_dict()))


def is_finished(run: Run, stage: str) -> bool:
    """Whether a stage is done.

    Raises:
      StageFileError: if it was done with other settings.
    """
    path = run.workdir / stage / stage_files.FINISHED
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


def adopt_sibling(run: Run, stage: str) -> None:
    """Takes over a stage from another run of the same sweep that has the same settings."""
    own, wanted = run.workdir / stage, identity(run.config, stage)
    others = sorted(run.workdir.parent.glob(f"*/{stage}/{stage_files.FINISHED}"))
    for path in [] if own.exists() or jax.process_index() else others:
        if stage_files.read_json(path, "identity")["identity"] == wanted:
            own.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.path.relpath(path.parent.resolve(), own.parent), own)
            LOG.info("stage %s: taken over from %s", stage, path.parent)
            break
    splits.barrier(f"adopt {stage}")


def fit_stage(
    run: Run,
    task: Any,
    variables: dict,
    folder: pathlib.Path,
    evaluate: Callable[[dict, int], Mapping[str, float]],
    draw: Callable[[int], dict[str, np.ndarray]] | None = None,
) -> dict:
    """Trains a stage of this run.

    Args:
      run: the run.
      task: of the stage; where it has `scenes`, its examples are rendered on the device.
      variables: what it begins with.
      folder: of the stage.
      evaluate: see `loop.fit`.
      draw: number of a batch to the batch, where examples lie in memory; None reads videos.

    Returns:
      All variables on the host, without what only training needs.
    """
    settings = run.config[task.name]
    rendered = getattr(task, "scenes", None) is not None
    videos = None if rendered or draw else run.source("train")
    epoch_steps = settings.epoch_steps or -(-len(videos) // settings.batch)
    steps = settings.epochs * epoch_steps
    key = stage_key(run.config.seed, task.name)
    rows = meshes.local_rows(run.mesh, settings.batch)

    def batches(start: int) -> Iterator[Any]:
        put = functools.partial(meshes.put_batch, mesh=run.mesh)
        if rendered:
            numbers = put({"row": np.arange(settings.batch, dtype=np.int32)[rows]})
            return iter(lambda: numbers, None)
        if draw:
            return pipeline.prefetch(
                ({k: v[rows] for k, v in draw(n).items()} for n in range(start, steps)),
                put,
            )
        broken = pipeline.BrokenVideos(videos)

        def read():
            found = pipeline.make_batches(
                videos,
                task.cut(),
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
                    yield {k: v for k, v in batch.items() if k not in HOST_ONLY}

        return pipeline.prefetch(read(), put)

    state = loop.fit(
        task,
        settings,
        variables,
        steps=steps,
        epoch_steps=epoch_steps,
        batches=batches,
        evaluate=evaluate,
        mesh=run.mesh,
        folder=folder,
        identity=identity(run.config, task.name),
        key=key,
        stop=run.stop,
    )
    trained = meshes.to_host(state.variables)
    trained["params"] = {
        name: group
        for name, group in trained["params"].items()
        if name not in getattr(task, "aids", ())
    }
    return trained
