"""Checkpoints of one stage: state, position in the data and settings together, by orbax.

One that is damaged is named and set aside, beside the folder, and the one before it is taken.
"""

import contextlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from rac_jax.train import hosts

# Of the stage's folder.
FOLDER = "checkpoints"
# Of the stage's folder, too: checkpoints that could not be read.
DAMAGED = "damaged_checkpoints"
# The validation error; the lowest is the best.
METRIC = "error"
SCHEMA = 1

LOG = logging.getLogger("rac_jax.train")
# What reading a damaged file leads to, in orbax and in what it is made of.
DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OSError,
    RuntimeError,
)


# In what tensorstore says of a file: why the system has refused.
REFUSED = re.compile(
    r"Failed to \w+ [^:]*: ([^\[]+?) \[os_error_code|(No space left[^\[\n]*)"
)


class CheckpointError(ValueError):
    """Checkpoints that do not fit the run: one line with the folder and the reason."""


class DamagedError(ValueError):
    """A checkpoint that cannot be read: the reason."""


class Checkpoints:
    """The checkpoints of one stage in one folder: the last ones, and the best.

    Writing goes on in the background; a checkpoint appears whole or not at all. Every process
    of a run calls every method.
    """

    def __init__(
        self, folder: pathlib.Path, identity: Mapping[str, Any], keep: int = 2
    ):
        """Opens or creates the folder.

        Args:
          folder: of the stage.
          identity: what makes a checkpoint fit this run, JSON-able; part of every one.
          keep: number of latest checkpoints to keep beside the best.
        """
        self._folder, self._identity = folder, dict(identity)
        self._set_unreadable_aside()
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

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        try:
            with self._writing():
                self._manager.close()
        except CheckpointError:
            # What failed first is told already.
            if kind is None:
                raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What orbax raises of a checkpoint that it cannot write, as one line."""
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            raise CheckpointError(
                f"{self._folder}: a checkpoint cannot be written ({_cause(error)}); the last "
                "whole one stays"
            ) from error

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

        Raises:
          CheckpointError: if this one or the one before cannot be written.
        """
        meta = {"schema": SCHEMA, "identity": self._identity}
        with self._writing():
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
        """Waits until what was begun is written.

        Raises:
          CheckpointError: if it cannot be written.
        """
        with self._writing():
            self._manager.wait_until_finished()

    def check(self, step: int) -> None:
        """Checks that a checkpoint belongs to this run, without reading its arrays.

        Raises:
          CheckpointError: if it does not; names the field that differs.
        """
        found = _read_json(self._folder / str(step) / "meta" / "metadata")["identity"]
        for name, value in self._identity.items():
            if name not in found or found[name] != value:
                raise CheckpointError(
                    f"{self._folder / str(step)}: was made with {name} = "
                    f"{found.get(name)!r}, this run has {value!r}; use another workdir"
                )

    def restore_latest(self, like: Any) -> tuple[Any, int] | None:
        """Reads the last checkpoint that is whole; damaged ones after it are set aside.

        Args:
          like: tree of `jax.ShapeDtypeStruct` with shardings, or of arrays.

        Returns:
          The state on the devices of this run, however many wrote it, and the batch that the
          data goes on with; None if there is no checkpoint.

        Raises:
          CheckpointError: if it belongs to another run, or its arrays are others.
        """
        while (step := self.latest) is not None:
            self.check(step)
            try:
                return self._restore(step, like)
            except DamagedError as error:
                self._set_aside(step, str(error))
                self._manager.reload()
        return None

    def restore_best(self, like: Any) -> tuple[Any, int] | None:
        """Reads the checkpoint of the lowest validation error; damaged ones are set aside.

        Args:
          like: as in `restore_latest`.

        Returns:
          The state, and the step that it is of; None if none was validated.

        Raises:
          CheckpointError: as `restore_latest`.
        """
        self.wait()
        while (step := self.best) is not None:
            self.check(step)
            try:
                return self._restore(step, like)[0], step
            except DamagedError as error:
                self._set_aside(step, str(error))
                self._manager.reload()
        return None

    def _restore(self, step: int, like: Any) -> tuple[Any, int]:
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(abstract),
                    data=ocp.args.JsonRestore(),
                ),
            )
            return restored["state"], int(restored["data"]["batches"])
        except DAMAGE as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            if self._fits(step, abstract):
                raise DamagedError(line) from error
            raise CheckpointError(
                f"{self._folder / str(step)}: does not fit this model ({line})"
            ) from error

    def _fits(self, step: int, abstract: Any) -> bool:
        """Whether a checkpoint says of itself that it holds such arrays, or cannot say it."""
        try:
            held = jax.tree.leaves_with_path(self._manager.item_metadata(step)["state"])
            shapes = {jax.tree_util.keystr(path): leaf.shape for path, leaf in held}
        except DAMAGE:
            return True
        wanted = jax.tree.leaves_with_path(abstract)
        return len(shapes) == len(wanted) and sorted(shapes.values()) == sorted(
            leaf.shape for _, leaf in wanted
        )

    def _set_unreadable_aside(self) -> None:
        """Sets aside what the manager would fail on before it can say where."""
        if jax.process_index() == 0 and self._folder.is_dir():
            for place in list(self._folder.iterdir()):
                if place.name.isdigit():
                    try:
                        _check_readable(place)
                    except DAMAGE as error:
                        line = " ".join(str(error).split()) or type(error).__name__
                        self._set_aside(int(place.name), line)
        hosts.barrier(f"checkpoints of {self._folder}")

    def _set_aside(self, step: int, why: str) -> None:
        """Moves a checkpoint out of the folder and says so; never over another one."""
        target = self._folder.parent / DAMAGED / str(step)
        LOG.warning("%s: is damaged (%s), set aside", self._folder / str(step), why)
        if jax.process_index() == 0:
            target.parent.mkdir(parents=True, exist_ok=True)
            number = 0
            while target.exists():
                number += 1
                target = target.with_name(f"{step}-{number}")
            os.rename(self._folder / str(step), target)
        hosts.barrier(f"set aside {step}")


def _check_readable(place: pathlib.Path) -> None:
    """Reads the small files of a checkpoint.

    Raises:
      What `DAMAGE` lists: if one is missing or not what it should be.
    """
    _read_json(place / "_CHECKPOINT_METADATA")
    if not isinstance(_read_json(place / "meta" / "metadata")["identity"], dict):
        raise TypeError("meta/metadata: identity is no object")
    int(_read_json(place / "data" / "metadata")["batches"])
    if (place / "metrics").exists():
        float(_read_json(place / "metrics" / "metrics")[METRIC])
    for name in ("_METADATA", "manifest.ocdbt"):
        if not (place / "state" / name).stat().st_size:
            raise ValueError(f"state/{name} is empty")


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise TypeError(f"{path.name}: is no object")
    return found


def _error(metrics: Mapping[str, float] | None) -> float:
    return float("inf") if not metrics else metrics[METRIC]


def _cause(error: Exception) -> str:
    """Why a checkpoint cannot be written, in a few words."""
    text = " ".join(str(error).split())
    found = REFUSED.search(text)
    return next(filter(None, found.groups())) if found else text[:200]
