"""A stage that learns from stored features of its frozen encoder in place of pixels.

The features are those of the first `stored_epochs` epochs, window for window as the stage would
see them (cut, reversed, padded, in other colours); then the same windows come again. What is drawn
for a batch depends on its number alone, so with as many stored epochs as there are epochs nothing
differs from learning from pixels but the time that it takes.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import pathlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.counting.family import Variables
from rac_jax.data.clip_cache import CachedVideos
from rac_jax.train import feature_cache, hosts, loop, stages
from rac_jax.train import mesh as meshes
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, StoredExamples, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.step import step_keys
from rac_jax.train.window_task import ENCODER, WindowTask
from rac_jax.version import __version__

LOG = logging.getLogger("rac_jax.train")
FOLDER = "features"  # in the workdir, where the config names none
FEATURES = "features."  # then the number of a scale
# (a batch of features, a key) -> such a batch.
Vary = Callable[[Batch, jax.Array], Batch]
# What of the stage's section the windows depend on.
FIELDS = ("examples", "batch", "padded", "camera")


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureTask(Task):
    """Learns what another task does, from features.

    Attributes:
      task: that learns from windows.
      examples: the stored batches.
      vary: (batch, key) -> the batch as it might have been, if there is more to draw from than
        what is stored.
    """

    task: WindowTask
    examples: StoredExamples
    vary: Vary | None = None

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.task.name

    @property
    def trained(self) -> tuple[str, ...]:
        """Groups of parameters."""
        return self.task.trained

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Varies the batch, if the task can."""
        return batch if self.vary is None else self.vary(batch, key)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        scales = sum(name.startswith(FEATURES) for name in batch)
        features = tuple(batch[f"{FEATURES}{scale}"] for scale in range(scales))
        return self.task.learned(
            params, batch_stats, features, "from_features", batch, key
        )

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of counts of the validation videos, from pixels."""
        return self.task.validate(variables, epoch)


def check_stored_epochs(run: Run, stage: str) -> None:
    """Checks a stage's `stored_epochs` by itself.

    Raises:
      ValueError: naming the field.
    """
    number = run.config[stage].stored_epochs
    if number < 0:
        raise ValueError(f"{stage}.stored_epochs: {number} is below 0")


def check_stored(run: Run, stage: str) -> None:
    """Checks the `stored_epochs` of a stage whose network has an encoder.

    Raises:
      ValueError: naming the field.
    """
    check_stored_epochs(run, stage)
    if run.config[stage].stored_epochs and not run.network.frozen:
        raise ValueError(
            f"{stage}.stored_epochs: an encoder that learns finds something else in every "
            "step; have 0 here, or model.frozen"
        )


def stored_or_not(
    task: WindowTask,
    variables: Variables,
    fields: tuple[str, ...],
    group: str = ENCODER,
    vary: Vary | None = None,
) -> Task:
    """The task, or one on stored features where the stage's section has `stored_epochs`.

    Features that are not stored yet are; SIGTERM interrupts that, and the next call goes on.

    Args:
      task: that learns from windows.
      variables: that the stage begins with.
      fields: of the network, on which what its encoder finds depends.
      group: of parameters, the encoder's.
      vary: see `FeatureTask`.

    Returns:
      The task.

    Raises:
      ValueError: if a file of stored features is damaged or of something else, or the training
        videos come from no cache.
      OSError: if they cannot be written.
      Stopped: when asked to.
    """
    run = task.run
    if not run.config[task.name].stored_epochs:
        return task
    number = stored_batches(run, task)
    variables = {
        kind: {group: tree[group]} for kind, tree in variables.items() if group in tree
    }
    key = features_key(task, variables, fields, number, group)
    work = functools.partial(feature_batches, task, variables, number)
    stored = open_stored(run, task.name, key, number, work)
    return FeatureTask(task, StoredExamples(stored.read), vary)


def stored_batches(run: Run, task: Task) -> int:
    """How many batches a task's `stored_epochs` are."""
    settings = run.config[task.name]
    epochs = min(settings.stored_epochs, settings.epochs)
    return stages.epoch_steps(run, task) * epochs


def open_stored(
    run: Run, stage: str, key: str, number: int, batches: feature_cache.Batches
) -> feature_cache.StoredFeatures:
    """The stored batches of a stage; they are stored first if they are not there yet.

    Args:
      run: whose `data.features` may name a folder for them.
      stage: its name.
      key: of all that they depend on.
      number: of batches.
      batches: (batches already stored) -> this process's rows of those that follow.

    Returns:
      All of them.

    Raises:
      ValueError: if a file of stored features is damaged or of something else.
      OSError: if they cannot be written.
      Whatever `batches` raises.
    """
    folder = run.config.data.features
    place = pathlib.Path(folder) if folder else run.workdir / FOLDER
    place = place / key
    if not hosts.first_says((place / feature_cache.INDEX).exists()):
        rows = meshes.local_rows(run.mesh, run.config[stage].batch)
        company = hosts.company()
        feature_cache.store(place, key, number, rows, batches, company, _report(number))
    return feature_cache.StoredFeatures(place, key)


def features_key(
    task: WindowTask,
    variables: Variables,
    fields: tuple[str, ...],
    number: int,
    group: str = ENCODER,
) -> str:
    """A digest of all that stored features depend on.

    Args:
      task: whose windows are encoded.
      variables: of the network, on the host.
      fields: of the network, on which what its encoder finds depends.
      number: of batches.
      group: of parameters, the encoder's.

    Returns:
      16 hexadecimal digits.

    Raises:
      ValueError: if the training videos come from no cache, and have no digest.
    """
    run, network = task.run, task.run.network
    settings = run.config[task.name]
    known = {"version": [feature_cache.SCHEMA, __version__], "number": number}
    known["network"] = [run.family.name, network.dtype]
    known["network"] += [getattr(network, name) for name in fields]
    known["windows"] = [settings[name] for name in FIELDS]
    known["data"] = [run.config.seed, run.config.data.size]
    if isinstance(task.source, VideoExamples):
        known["data"] += videos_key(run, task.name, task.source.split)
        known["data"].append(repr(task.source.sampler))
    else:
        known["data"].append([[share, vars(part)] for share, part in task.source])
    groups = {kind: tree.get(group, {}) for kind, tree in variables.items()}
    return digest_of(known, groups)


def videos_key(run: Run, stage: str, split: str) -> list[str | int]:
    """What tells the videos of a split from others: [their cache's digest, how many they are].

    Raises:
      ValueError: if they come from no cache, and have no digest.
    """
    videos = run.source(split)
    if not isinstance(videos, CachedVideos) or videos.key is None:
        raise ValueError(
            f"{stage}.stored_epochs: the training videos are in no cache, so that nobody "
            "could tell what of them is stored; have 0 here"
        )
    return [videos.key, len(videos)]


def digest_of(known: Mapping[str, Any], variables: Variables) -> str:
    """A digest of settings and parameters, 16 hexadecimal digits."""
    text = json.dumps(known, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode())
    for kind in sorted(variables):
        flat = flax.traverse_util.flatten_dict(variables[kind], sep="/")
        for name in sorted(flat):
            leaf = np.asarray(flat[name], np.float32)
            digest.update(f"{kind}/{name} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def feature_batches(
    task: WindowTask, variables: Variables, number: int, start: int
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of batches of features.

    Args:
      task: whose windows are encoded.
      variables: of the encoder, on the host.
      number: of the batch where they end.
      start: batches already taken.

    Raises:
      Stopped: when the run is asked to stop.
    """
    run = task.run
    network, key = run.network, run.key(task.name)
    sharding = NamedSharding(run.mesh, meshes.BATCH)

    @functools.partial(jax.jit, out_shardings=sharding)
    def look(variables: Variables, batch: Batch, place: jax.Array) -> Batch:
        batch = task.prepare(batch, step_keys(key, place)[0])
        windows = batch.pop("windows")
        found = network.apply(variables, windows, train=True, method="features")
        named = {f"{FEATURES}{scale}": leaf for scale, leaf in enumerate(found)}
        return batch | named

    yield from looked_at(run, task, variables, look, number, start)


def looked_at(
    run: Run,
    task: Task,
    variables: Variables,
    look: Callable[[Variables, Batch, jax.Array], Batch],
    number: int,
    start: int,
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of what a frozen network makes of a task's batches.

    Args:
      run: the run.
      task: whose batches are looked at.
      variables: of the network, on the host.
      look: (variables, batch, its number) -> what is wanted of it, on the device.
      number: of the batch where they end.
      start: batches already taken.

    Raises:
      Stopped: when the run is asked to stop.
    """
    settings = run.config[task.name]
    replicated = NamedSharding(run.mesh, meshes.REPLICATED)
    there = meshes.put(variables, jax.tree.map(lambda _: replicated, variables))
    coming = stages.device_batches(run, task, settings, number, start)
    with contextlib.closing(coming):
        # Rendered batches do not end by themselves.
        for place, batch in zip(range(start, number), coming, strict=False):
            if run.stop.agreed(place, settings.log_steps):
                raise loop.Stopped(
                    f"{task.name}: stopped after the features of {place} of {number} "
                    "batches"
                )
            yield meshes.own_rows(look(there, batch, np.int32(place)))


def _report(number: int) -> Callable[[int, int], None]:
    """Says some ten times how far it is."""
    every = max(1, number // 10)

    def progress(done: int, total: int) -> None:
        if done == total or done % every < feature_cache.PART:
            LOG.info("features: %d of %d batches are stored", done, total)

    return progress
