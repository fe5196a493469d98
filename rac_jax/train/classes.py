"""Names of classes: those of a config, or the labels of its training videos."""

import logging

from rac_jax.train import splits
from rac_jax.train.run import Run

LOG = logging.getLogger("rac_jax.train")


def class_names(run: Run, field: str) -> tuple[str, ...]:
    """The classes: `classes` of the config, or all labels of the training videos in order.

    Args:
      run: the run.
      field: of the config's `model`, how many classes the network has.

    Raises:
      ValueError: if there are not as many as the model has.
    """
    names, number = tuple(run.config.classes), run.config.model[field]
    if not names:
        # What is missing is told where the videos are opened.
        records = splits.annotations(run.config.data, "train", LOG.debug)
        if "train" in run.sources or records is None:
            records = run.videos("train")
        names = tuple(sorted({record.label for record in records}))
    if len(names) != number:
        raise ValueError(f"model.{field}: {number}, but there are {len(names)} classes")
    return names
