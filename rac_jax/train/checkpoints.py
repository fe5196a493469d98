"""Checkpoints of one stage: state, position in the data and settings together, by orbax."""

import pathlib
from collections.abc import Mapping
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

# Of the stage's folder.
FOLDER = "checkpoints"
# The validation error; the lowest is the best.
METRIC = "error"
SCHEMA = 1


class CheckpointError(ValueError):
    """Checkpoints that do not fit the run: one line with the folder and the reason."""


class Checkpoints:
    """The checkpoints of one stage in one folder: the last ones, and the best.

    Writing goes on in the background; a checkpoint appears whole or not at all. Every process
    of a run calls every method.
    """

    def __init__(
        self, folder: pathlib.Path, identity: Mapping[str, Any], keep: int = 1
    ):
        """Opens or creates the folder.

        Args:
          folder: of the stage.
          identity: what makes a checkpoint fit this run, JSON-able; part of every one.
          keep: number of latest checkpoints to keep beside the best.
        """
        self._folder, self._identity = folder, dict(identity)
        preserve = policies.AnyPreservationPolicy(
            [
                policies.LatestN(n=keep),
                policies.BestN(
                    get_metric_fn=_error,
                    reverse=True,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=preserve,
                best_fn=_error,
                best_mode="min",
                enable_async_checkpointing=True,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """Step of the last whole checkpoint."""
        return self._manager.latest_step()

    @property
    def best(self) -> int | None:
        """Step of the one with the lowest validation error, None before the first."""
        return self._manager.best_step()

    def save(self, step: int, state: Any, error: float | None = None) -> None:
        """Begins to write a checkpoint.

        Args:
          step: batches taken; the data goes on with this batch.
          state: the training state.
          error: validation error at this step, if it was measured.
        """
        meta = {"schema": SCHEMA, "identity": self._identity}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave({"batches": step}),
                meta=ocp.args.JsonSave(meta),
            ),
            metrics=None if error is None else {METRIC: error},
            force=True,
        )

    def wait(self) -> None:
        """Waits until what was begun is written."""
        self._manager.wait_until_finished()

    def check(self, step: int) -> None:
        """Checks that a checkpoint belongs to this run, without reading its arrays.

        Raises:
          CheckpointError: if it does not; names the field that differs.
        """
        meta = self._manager.restore(
            step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
        )["meta"]
        found = meta.get("identity", {})
        for name, value in self._identity.items():
            if name not in found or found[name] != value:
                raise CheckpointError(
                    f"{self._folder / str(step)}: was made with {name} = "
                    f"{found.get(name)!r}, this run has {value!r}; use another workdir"
                )

    def restore(self, step: int, like: Any) -> tuple[Any, int]:
        """Reads a checkpoint onto the devices of this run, however many wrote it.

        Args:
          step: which.
          like: tree of `jax.ShapeDtypeStruct` with shardings, or of arrays.

        Returns:
          The state, and the batch that the data goes on with.

        Raises:
          CheckpointError: if it belongs to another run, or its arrays are others.
        """
        self.check(step)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(abstract),
                    data=ocp.args.JsonRestore(),
                ),
            )
        except (ValueError, KeyError) as error:
            line = str(error).splitlines()[0]
            raise CheckpointError(
                f"{self._folder / str(step)}: does not fit this model ({line})"
            ) from error
        return restored["state"], int(restored["data"]["batches"])


def _error(metrics: Mapping[str, float] | None) -> float:
    return float("inf") if not metrics else metrics[METRIC]
