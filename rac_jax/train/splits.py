"""From a config's `data` section to videos, decoded once.

Kinds of data: `csv` (labels in a CSV and media files, or an official data set by the name that
`data.datasets` reads), `tfds` (the folder of a prepared TFDS data
set), `cache` (the folder of a cache made before), `scenes` (procedural ones).
"""

import dataclasses
import hashlib
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from rac_jax.data import clip_cache, datasets
from rac_jax.data.annotations import Annotation
from rac_jax.data.labelled import SCHEMA, VideoSummary, summarise
from rac_jax.data.pipeline import Source, Subset
from rac_jax.data.sources import INTERPOLATION, FeatureSource, MediaSource
from rac_jax.media.pixels import INTERPOLATIONS
from rac_jax.scenes import SceneConfig
from rac_jax.train import hosts
from rac_jax.train.scene_videos import SceneVideos

LOG = logging.getLogger("rac_jax.train")
KINDS = ("scenes", "csv", "tfds", "cache", "folder")
SPLITS = ("train", "val", "test")
NUMBER = "number"  # of scenes


def scene_config(fields: Mapping[str, Any], **changes: Any) -> SceneConfig:
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
    # A compiled program is found by its scenes' config, which lists would make unhashable.
    return SceneConfig(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in chosen.items()
        }
    )


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
    resizing = data.get("interpolation", INTERPOLATION)
    if resizing not in INTERPOLATIONS:
        raise ValueError(
            f"data.interpolation: {resizing!r} is not one of {', '.join(INTERPOLATIONS)}"
        )
    if section.get("per_class", 0) < 0:
        raise ValueError(
            f"data.{split}.per_class: {section.per_class} is not 0, which is all, or more"
        )
    for name in ("size", "audio_rate"):
        if data[name] < 1:
            raise ValueError(f"data.{name}: {data[name]} is not positive")
    if section.kind == "scenes":
        _scene_parts(data, split)


def check_files(data: Any, split: str) -> None:
    """Checks that the labels of a split can be read, or its folder is there; decodes nothing.

    Args:
      data, split: as in `open_split`.

    Raises:
      ValueError: naming the field and the file.
    """
    section = data[split]
    field = f"data.{split}.path"
    if section.kind == "csv":
        try:
            labels = datasets.read(section.path, need_videos=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{field}: {error}") from error
        if not labels.annotations:
            raise ValueError(f"{field}: {section.path} has no video")
    elif section.kind != "scenes" and not pathlib.Path(section.path).is_dir():
        raise ValueError(f"{field}: {section.path} is no folder")


def open_split(data: Any, split: str, folder: pathlib.Path) -> Source:
    """Opens the videos of one split, building their cache if it is not there.

    The processes of a run share the decoding, each with `workers` of the section `data` at once,
    in a folder that all of them see.

    Args:
      data: the `data` section: `size` (height and width of the frames in pixels), `audio_rate`
        (samples per second of the sound), where it is not "area" `interpolation` (of media, see
        `media.read_video`; scenes are drawn at their size), `pad` where black bars are to keep the
        aspect ratio of media, `cache` (a folder, "" for one in the workdir), and a
        section per split with `kind` of `KINDS`, `path` (of the labels or the folder), for TFDS
        `split` if it is named otherwise, and `per_class` where of every label only so many videos
        are wanted, chosen by chance and always the same ones. For scenes `seed` and either `number` and `scenes`
        (fields of `SceneConfig`), or `parts`, by name {`number`, fields of `SceneConfig`}.
      split: of `SPLITS`.
      folder: the workdir.

    Returns:
      The videos.

    Raises:
      ValueError: if they cannot be had; the message names the file.
      OSError: if the annotations cannot be read.
    """
    source, key = _open(data, split)
    limit = data[split].get("per_class", 0)
    if key is None:
        return few_of_each(source, limit) if limit else source
    place = pathlib.Path(data.cache) if data.cache else folder / "cache"
    # The key is part of the name: several data sets and sizes share a folder.
    place = place / f"{split}-{key[:12]}"
    cached = clip_cache.cache_source(
        place,
        source,
        key,
        _report(split) if jax.process_index() == 0 else None,
        workers=data.get("workers", 0),
        company=hosts.company(),
    )
    # All videos are in the cache, so that runs with other limits share it.
    return few_of_each(cached, limit) if limit else cached


def few_of_each(source: Source, number: int) -> Subset:
    """Some videos of every label.

    Args:
      source: the videos.
      number: of each label; all where there are fewer.

    Returns:
      Videos in their order. Which ones depends on their names alone, and those of a smaller
      number are among those of a larger one.
    """
    chosen: dict[str, list[tuple[str, int]]] = {}
    for index, video in enumerate(summaries(source)):
        drawn = hashlib.sha256(video.video_id.encode()).hexdigest()
        chosen.setdefault(video.label, []).append((drawn, index))
    kept = [index for found in chosen.values() for _, index in sorted(found)[:number]]
    return Subset(source, sorted(kept))


def open_source(data: Any, split: str) -> Source:
    """Opens the videos of one split without a cache: each is decoded or rendered when asked for.

    For stages that read each video once, or videos too long to store.

    Args:
      data, split: as in `open_split`; `cache` and `per_class` are not looked at.

    Returns:
      The videos.

    Raises:
      ValueError, OSError: as `open_split`.
    """
    return _open(data, split)[0]


def summaries(source: Source) -> list[VideoSummary]:
    """What is known of videos: from a cache's index, else by reading every one.

    Raises:
      ValueError, OSError: if a video cannot be read.
    """
    if isinstance(source, clip_cache.CachedVideos):
        return source.summaries
    if isinstance(source, Subset):
        known = summaries(source.source)
        return [known[index] for index in source.indices]
    return [summarise(source[index]) for index in range(len(source))]


def _open(data: Any, split: str) -> tuple[Source, str | None]:
    """The source of a split, and a key of all that it depends on; None for a cache."""
    section = data[split]
    resizing = data.get("interpolation", INTERPOLATION)
    wanted = (data.size, data.audio_rate, resizing, data.get("pad", False))
    if section.kind == "cache":
        return clip_cache.CachedVideos(section.path), None
    labels = annotations(data, split)
    if labels is not None:
        key = clip_cache.source_key(labels, *wanted)
        return MediaSource(labels, *wanted), key
    if section.kind == "tfds":
        return _tfds_source(section.path, section.split or split, wanted)
    source = SceneVideos(_scene_parts(data, split), section.seed)
    return source, source.key


def annotations(
    data: Any, split: str, say: Callable[[str], None] = LOG.warning
) -> list[Annotation] | None:
    """The records of a split's videos that are there, decoding nothing.

    Args:
      data, split: as in `open_split`.
      say: told of doubtful rows and missing videos.

    Returns:
      The records; None where they are not to be had without the videos, as of a cache.

    Raises:
      ValueError, OSError: as `open_split`.
    """
    section = data[split]
    if section.kind == "folder":
        return datasets.read_folder(section.path)
    if section.kind == "csv":
        return datasets.read_found(section.path, say)
    return None


def _scene_parts(data: Any, split: str) -> list[tuple[int, SceneConfig]]:
    """How many scenes of which distribution a split has.

    Raises:
      ValueError: naming the field.
    """
    section = data[split]
    known = {"height": data.size, "width": data.size, "rate": data.audio_rate}
    parts = section.get("parts")
    if not parts:
        if section.number < 1:
            raise ValueError(f"data.{split}.{NUMBER}: {section.number} is not positive")
        return [(section.number, scene_config(section.scenes, **known))]
    if section.get(NUMBER) or section.get("scenes"):
        raise ValueError(
            f"data.{split}.parts: have numbers and scenes of their own, leave the split's empty"
        )
    found = []
    for name, part in sorted(parts.items()):
        place = f"data.{split}.parts.{name}"
        if NUMBER not in part or part[NUMBER] < 0:
            raise ValueError(f"{place}.{NUMBER}: must be there and at least 0")
        fields = {field: value for field, value in part.items() if field != NUMBER}
        try:
            scenes = scene_config(fields, **known)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        # A part may be switched off; it has no number of its own in the seed then.
        if part[NUMBER]:
            found.append((part[NUMBER], scenes))
    if not found:
        raise ValueError(f"data.{split}.parts: no part has a scene")
    return found


def _tfds_source(
    folder: str, split: str, wanted: tuple[int, int, str, bool]
) -> tuple[FeatureSource, str]:
    """A prepared TFDS data set, by the folder of its version; `wanted` as its source has it."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise ValueError(f"{folder}: has no split {split!r}, it has: {known}")
    info = builder.info.splits[split]
    known = [builder.info.full_name, split, info.num_examples, info.num_bytes]
    *others, pad = wanted
    known += [SCHEMA, *others, *(("pad",) if pad else ())]
    digest = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
    return FeatureSource(builder.as_data_source(split), *wanted), digest


def _report(split: str) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == total or done % max(1, total // 5) == 0:
            LOG.info("cache of %s: %d of %d videos", split, done, total)

    return progress
