"""A student that learns from stored examples: the teacher has looked at each clip once.

Stored is what the student may see and hear of a clip, its first frame and a second of sound, and
what the teacher says of all of it. Scenes are those of `data.train.seed`, so that runs that differ
in their student or their own seed share what is stored; they see its batches in an order of their
own. A frame may be turned over, which is as if the teacher said the same of both: it has learned
from flipped clips, too.
"""

import dataclasses
import functools
from collections.abc import Generator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.counting.family import Variables
from rac_jax.models.listen_to_look.distil_task import STAGE, DistilTask
from rac_jax.ops import augment
from rac_jax.train import feature_cache, feature_task
from rac_jax.train import mesh as meshes
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, StoredExamples, Task
from rac_jax.train.run import stage_key
from rac_jax.train.step import step_keys
from rac_jax.version import __version__


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTask(Task):
    """Learns what `DistilTask` does, from stored examples.

    Attributes:
      task: that learns from clips.
      examples: the stored batches: "frames" uint8 [B, H, W, 3], "patches" [B, 101, 40], "mask"
        [B], "features" [B, C] and "scores" [B, P].
    """

    task: DistilTask
    examples: StoredExamples

    name = STAGE

    @property
    def trained(self) -> tuple[str, ...]:
        """Groups of parameters."""
        return self.task.trained

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """With frames normalised, some turned over."""
        frames = augment.random_flip(key, batch["frames"][:, None], 0.5)[:, 0]
        return batch | {"frames": self.task.normalised(frames)}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(L1 of descriptors plus λ times the divergence, (batch statistics, metrics))."""
        del key
        return self.task.learned(params, batch_stats, batch)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Scores of the validation videos by their labels; "error" is 1 - top-1."""
        return self.task.validate(variables, epoch)


def stored_or_not(task: DistilTask) -> Task:
    """The task, or one on stored examples where `distil.stored_epochs` is above 0.

    Examples that are not stored yet are; SIGTERM interrupts that, and the next call goes on.

    Raises:
      ValueError: if a stored file is damaged or of something else, or the training videos come
        from no cache.
      OSError: if they cannot be written.
      Stopped: when asked to.
    """
    run = task.run
    if not run.config[STAGE].stored_epochs:
        return task
    number = feature_task.stored_batches(run, task)
    work = functools.partial(_looked_at, task, number)
    stored = feature_task.open_stored(run, STAGE, _key(task, number), number, work)

    def read(place: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        time, within = divmod(place, number)
        order = np.random.default_rng([run.config.seed, time]).permutation(number)
        return stored.read(int(order[within]), rows)

    return StoredTask(task, StoredExamples(read))


def _key(task: DistilTask, number: int) -> str:
    """A digest of all that stored examples depend on.

    Raises:
      ValueError: if the training videos come from no cache, and have no digest.
    """
    run, settings = task.run, task.run.config[STAGE]
    teacher = task.teacher.config["preprocessing"]
    known = {
        "version": [feature_cache.SCHEMA, __version__],
        "batches": [number, settings.batch, run.config.data.size],
        "teacher": [dict(teacher), task.teacher.config["arguments"]],
    }
    if settings.examples == "scenes":
        known["data"] = [run.config.data.train.seed, settings.scenes.to_dict()]
    else:
        videos = feature_task.videos_key(run, STAGE, "train")
        known["data"] = [run.config.seed, *videos]
    return feature_task.digest_of(known, task.teacher.variables)


def _looked_at(
    task: DistilTask, number: int, start: int
) -> Generator[dict[str, np.ndarray], None, None]:
    """This process's rows of batches, as `StoredTask` has them.

    Args:
      task: whose clips the teacher looks at.
      number: of the batch where they end.
      start: batches already taken.

    Raises:
      Stopped: when the run is asked to stop.
    """
    run, teacher = task.run, task.teacher
    key = stage_key(run.config.data.train.seed, STAGE)
    sharding = NamedSharding(run.mesh, meshes.BATCH)

    @functools.partial(jax.jit, out_shardings=sharding)
    def look(variables: Variables, batch: Batch, place: jax.Array) -> Batch:
        batch = task.clips(batch, step_keys(key, place)[0])
        clips = batch.pop("clips")
        told = teacher.network.apply(variables, task.normalised(clips))
        said = {"features": told.features, "scores": told.logits}
        return batch | said | {"frames": clips[:, 0]}

    variables = {kind: teacher.variables[kind] for kind in ("params", "batch_stats")}
    yield from feature_task.looked_at(run, task, variables, look, number, start)
