"""Videos in folders that are named by their label, and what lies there that is something else."""

import pathlib

from rac_jax.media.files import VIDEO_SUFFIXES


def videos_by_label(
    root: pathlib.Path,
) -> tuple[list[tuple[str, pathlib.Path]], list[str]]:
    """The videos of a folder with a folder for each label.

    Args:
      root: the folder; hidden files are passed over.

    Returns:
      (label and file of every video, by name; "<path>: <what>" of whatever is odd: a file that
      lies in no label's folder or is no video, a folder within a label's, a label without a
      video, labels that differ in case or in spaces around them alone).

    Raises:
      OSError: if the folder cannot be read.
    """
    found: list[tuple[str, pathlib.Path]] = []
    odd: list[str] = []
    names: dict[str, str] = {}
    for place in sorted(root.iterdir()):
        if place.name.startswith("."):
            continue
        if not place.is_dir():
            odd.append(f"{place}: lies in no folder of a label")
            continue
        alike = names.setdefault(place.name.strip().casefold(), place.name)
        if alike != place.name:
            odd.append(f"{place}: the label {alike!r} is spelled nearly so, too")
        before = len(found)
        for file in sorted(place.iterdir()):
            if file.name.startswith("."):
                continue
            if file.is_dir():
                odd.append(f"{file}: is a folder within that of a label")
            elif file.suffix.lower() not in VIDEO_SUFFIXES:
                odd.append(f"{file}: is no video")
            else:
                found.append((place.name, file))
        if len(found) == before:
            odd.append(f"{place}: has no video")
    return found, odd
