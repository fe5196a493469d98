"""What a run does: build, start from other models, train stage by stage, measure, export.

    from rac_jax import models, train
    trained = train.train(models.find_family(config.family), config, "workdir")
    print(trained.counter().count("video.mp4"))

The workdir holds a folder per stage, `run.json` (what the run is made of), `evaluation.json`
(the measurement) and `export/`, a model folder. The same call goes on where the last one
stopped.
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import ml_collections
import numpy as np

from rac_jax.counting import weights
from rac_jax.counting.counter import Counter
from rac_jax.counting.family import TrainableFamily, Variables
from rac_jax.data.pipeline import Source
from rac_jax.train import hosts, lock, loop, mesh, settings, stage_files, stages
from rac_jax.train.logging import busy
from rac_jax.train.run import Run, check_stages, stage_key
from rac_jax.version import __version__

LOG = logging.getLogger("rac_jax.train")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
EXPORT = "export"
RUN_FILE = "run.json"
WHOLE = "model"  # of `start`: a model with all groups of parameters


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
      run: the run.
      variables: trained, on the host.
      report: the measurement, also in `evaluation.json`.
      export: the model folder, or None if the result is no model of the family.
    """

    run: Run
    variables: Variables
    report: dict[str, Any]
    export: pathlib.Path | None

    def counter(self) -> Counter:
        """Counts with the trained variables.

        Raises:
          TypeError: if the family does not count.
        """
        return self.run.counter(self.variables)


def train(
    family: TrainableFamily,
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike,
    *,
    stop: loop.StopSignal | None = None,
    sources: Mapping[str, Source] | None = None,
) -> Trained:
    """Trains a family from a config, or goes on with it.

    Args:
      family: see `rac_jax.models.find_family`.
      config: as `configs/` makes them.
      workdir: folder of the run.
      stop: asks to stop; nobody does by default.
      sources: by split, videos that are at hand already, in place of those of the config's
        `data`. A finished stage is not trained again for other ones.

    Returns:
      The finished run.

    Raises:
      ValueError: for a wrong setting, a broken stage file, or a workdir of another run or one
        in which another process is at work.
      TrainingError: if a loss or gradient is not finite any more.
      Stopped: when asked to; everything is saved.
    """
    run = checked_run(family, config, workdir, stop=stop, sources=sources)
    recipe = run.recipe
    # Of the processes of one run the first speaks, and holds the workdir for all.
    alone = jax.process_index() == 0
    with busy("making the first weights", alone):
        variables = family.initialise(run.network, stage_key(config.seed, "init"))
        variables = started(config.start.to_dict(), variables)
    with lock.locked(run.workdir) if alone else contextlib.nullcontext():
        stages.check_workdir(run)

        # The workdir is this run's: train, measure and export.
        describe_run(config, run.workdir)
        variables = stages.run_stages(run, variables)
        report = stage_files.read_json(run.workdir / stages.EVALUATION, "estimators")
        export = _export(run, recipe.describe(run, report), variables)
    return Trained(run, variables, report, export)


def checked_run(
    family: TrainableFamily,
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike,
    *,
    stop: loop.StopSignal | None = None,
    sources: Mapping[str, Source] | None = None,
) -> Run:
    """A run that has not begun, with settings that nothing is wrong with as far as can be known.

    Args:
      family, config, workdir, stop, sources: as in `train`; nothing is written.

    Returns:
      The run.

    Raises:
      ValueError: for a wrong setting.
    """
    # What can be wrong with the settings is found before anything is written.
    settings.check_config(config)
    recipe = family.recipe()
    if recipe is None:
        raise ValueError(f"family: {family.name} has no recipe, it cannot be trained")
    dtype = compute_type(config.precision)
    try:
        network = family.network(**config.model.to_dict(), dtype=dtype)
    except TypeError as error:
        raise ValueError(f"model: {error}") from error
    run = Run(
        config=config,
        workdir=pathlib.Path(workdir),
        family=family,
        recipe=recipe,
        network=network,
        mesh=mesh.make_mesh(config.mesh.data, config.mesh.fsdp),
        stop=stop or loop.StopSignal(),
        sources=dict(sources or {}),
    )
    check_stages(run)
    recipe.check(run)
    return run


def compute_type(precision: str) -> str:
    """Compute type of the encoders.

    Raises:
      ValueError: for an unknown precision.
    """
    if precision == "auto":
        return "float32" if jax.default_backend() == "cpu" else "bfloat16"
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision: {precision!r} is not auto, float32 or bfloat16")
    return precision


def started(start: Mapping[str, str], variables: Variables) -> Variables:
    """Variables with those of released models in place of first ones.

    Args:
      start: "model" or a group of parameters to a model folder or the name of a shipped
        model, "" for none. A model for a group has that group, or is an encoder alone, or has
        one group of another name that fits, as the encoder of a model that does not count; it
        takes the place of what the model for all has.
      variables: first ones.

    Returns:
      The variables.

    Raises:
      ValueError: for a group that the model does not have, or a model that does not fit.
    """
    changed = {kind: dict(tree) for kind, tree in variables.items()}
    groups = sorted(changed["params"])
    # The model for all first, so that those for groups are put into it.
    for group in sorted(start, key=lambda name: name != WHOLE):
        model = start[group]
        if not model:
            continue
        if group != WHOLE and group not in groups:
            raise ValueError(
                f"start.{group}: the model has no such group of parameters, it has: "
                f"{', '.join(groups)} (or {WHOLE!r} for all)"
            )
        # Read with all that is stored in half as float32.
        flat = weights.read_tensors(model)
        loaded = flax.traverse_util.unflatten_dict(
            {name: np.asarray(value, np.float32) for name, value in flat.items()},
            sep="/",
        )
        if group != WHOLE:
            source, home = _source_and_home(group, model, loaded, changed)
        for kind, tree in changed.items():
            found = loaded.get(kind, {})
            if group == WHOLE:
                _check_fit(group, model, found, tree)
                changed[kind] = dict(found)
            elif group in tree:
                found = found.get(source, {}) if source else found
                found = {home: found} if home else found
                _check_fit(group, model, found, tree[group])
                tree[group] = found
    return changed


def _source_and_home(
    group: str, model: str, loaded: Variables, wanted: Variables
) -> tuple[str | None, str]:
    """What of a model's parameters a group of another one starts from, and where in it.

    Returns:
      The group of the same name, or the only one with the same paths and shapes, or None for
      the whole model; and "", or the name of the only module in the group, where it is that
      which fits.

    Raises:
      ValueError: if several groups of other names fit.
    """
    params, tree = loaded.get("params", {}), wanted["params"][group]
    homes = {"": tree}
    if len(tree) == 1:
        homes |= {name: one for name, one in tree.items() if isinstance(one, Mapping)}
    if group in params:
        own = _shapes(params[group])
        fits = [home for home, part in homes.items() if _shapes(part) == own]
        return group, fits[0] if fits else ""
    for home, part in homes.items():
        fitting = [
            name
            for name, one in sorted(params.items())
            if isinstance(one, Mapping) and _shapes(one) == _shapes(part)
        ]
        if len(fitting) > 1:
            raise ValueError(
                f"start.{group}: of {model} several groups fit: {', '.join(fitting)}"
            )
        if fitting:
            return fitting[0], home
        if _shapes(params) == _shapes(part):
            return None, home
    return None, ""


def _shapes(tree: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a tree's arrays, by their paths."""
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    return {name: np.shape(leaf) for name, leaf in flat.items()}


def _check_fit(
    group: str, model: str, found: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """Checks that two trees have the same paths and shapes.

    Raises:
      ValueError: naming the first path that differs.
    """
    has, needs = _shapes(found), _shapes(wanted)
    if has != needs:
        other, _ = min(set(has.items()) ^ set(needs.items()))
        raise ValueError(f"start.{group}: {model} does not fit the model at {other}")


def describe_run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Saves what the run is made of: config, versions, commit, seed, command, time."""
    command = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
    record = {
        "config": config.to_dict(),
        "seed": config.seed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": sys.version.split()[0], "rac_jax": __version__},
        "commit": commit(),
        "command": command,
        "devices": [str(device.device_kind) for device in jax.devices()],
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    stage_files.write_json(workdir / RUN_FILE, record)


def commit() -> str | None:
    """The commit of the code that runs, with "+changes" if files differ; None outside of git."""
    here = pathlib.Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    found = git("rev-parse", "HEAD")
    return found and found + (
        "+changes" if git("status", "--porcelain", "-uno") else ""
    )


def _export(
    run: Run, description: dict[str, Any] | None, variables: Variables
) -> pathlib.Path | None:
    """Writes the trained model as `rac count --model` reads it; only the first process does."""
    if description is None:
        return None
    folder = run.workdir / EXPORT
    if jax.process_index() == 0:
        about = stage_files.read_json(run.workdir / RUN_FILE, "commit", "versions")
        training = {"config": run.config.to_dict(), "seed": run.config.seed}
        training |= {name: about[name] for name in ("commit", "versions")}
        description = description | {"training": training}
        weights.save_model(folder, description, variables, half=True)
    hosts.barrier("exported")
    return folder
