"""From a config's `data` section to videos, decoded once.

Kinds of data: `csv` (labels in a CSV and media files), `tfds` (the folder of a prepared TFDS data
set), `cache` (the folder of a cache made before), `scenes` (procedural ones).
"""

import dataclasses
import hashlib
import logging
import pathlib
from typing import Any

import jax

from rac_jax.data import annotations, clip_cache
from rac_jax.data.labelled import SCHEMA
from rac_jax.data.pipeline import Source
from rac_jax.data.sources import FeatureSource, MediaSource
from rac_jax.scenes import SceneConfig
from rac_jax.train.scene_videos import SceneVideos

LOG = logging.getLogger("rac_jax.train")
KINDS = ("scenes", "csv", "tfds", "cache")
SPLITS = ("train", "val", "test")


def scene_config(fields: Any, **changes: Any) -> SceneConfig:
    """The scenes of a config's section.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    chosen = dict(fields) | changes
    known = {field.name for field in dataclasses.fields(SceneConfig)}
    if unknown := set(chosen) - known:
        raise ValueError(
            f"scenes.{min(unknown)}: no such field, known: {', '.join(sorted(known))}"
        )
    return SceneConfig(**chosen)


def check_split(data: Any, split: str) -> None:
    """Checks a split's section, reading nothing.

    Raises:
      ValueError: naming the field.
    """
    section = data[split]
    if section.kind not in KINDS:
        raise ValueError(
            f"data.{split}.kind: {section.kind!r} is not one of {', '.join(KINDS)}"
        )
    if section.kind != "scenes" and not section.path:
        raise ValueError(f"data.{split}.path: is empty, a {section.kind} needs one")
    if section.kind == "scenes":
        if section.number < 1:
            raise ValueError(f"data.{split}.number: {section.number} is not positive")
        scene_config(section.scenes)


def open_split(data: Any, split: str, folder: pathlib.Path) -> Source:
    """Opens the videos of one split, building their cache if it is not there.

    Args:
      data: the `data` section: `size`, `cache` (a folder, "" for one in the workdir), and a
        section per split with `kind` of `KINDS`, `path` (of the labels or the folder), for TFDS
        `split` if it is named otherwise, for scenes `number`, `seed` and `scenes`.
      split: of `SPLITS`.
      folder: the workdir.

    Returns:
      The videos.

    Raises:
      ValueError: if they cannot be had; the message names the file.
      OSError: if the annotations cannot be read.
    """
    section = data[split]
    if section.kind == "cache":
        return clip_cache.CachedVideos(section.path)
    source, key = _undecoded(section, split, data.size)
    place = pathlib.Path(data.cache) if data.cache else folder / "cache"
    # The key is part of the name: several data sets and sizes share a folder.
    place = place / f"{split}-{key[:12]}"
    if jax.process_index() == 0:
        opened = clip_cache.cache_source(place, source, key, _report(split, source))
    barrier(f"cache {split}")
    if jax.process_index():
        opened = clip_cache.cache_source(place, source, key)
    return opened


def _undecoded(section: Any, split: str, size: int) -> tuple[Any, str]:
    """The source of a split, and a key of all that it depends on."""
    if section.kind == "csv":
        labels = annotations.read_csv(section.path)
        return MediaSource(labels, size), clip_cache.source_key(labels, size)
    if section.kind == "tfds":
        return _tfds_source(section.path, section.split or split, size)
    scenes = scene_config(section.scenes, height=size, width=size)
    source = SceneVideos(scenes, section.number, section.seed)
    return source, source.key


def _tfds_source(folder: str, split: str, size: int) -> tuple[FeatureSource, str]:
    """A prepared TFDS data set, by the folder of its version."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise ValueError(f"{folder}: has no split {split!r}, it has: {known}")
    info = builder.info.splits[split]
    known = [builder.info.full_name, split, info.num_examples, info.num_bytes, size]
    digest = hashlib.sha256(repr([SCHEMA, *known]).encode()).hexdigest()[:16]
    return FeatureSource(builder.as_data_source(split), size), digest


def _report(split: str, source: Source):
    def progress(done: int, total: int) -> None:
        if done == total or done % max(1, total // 5) == 0:
            LOG.info("cache of %s: %d of %d videos", split, done, total)

    return progress


def barrier(name: str) -> None:
    """Waits for all processes of the run."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
