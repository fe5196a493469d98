"""Files that come with the package: configs and the sample video.

They lie beside the package in a clone, and inside of it once it is installed.
"""

import pathlib

PACKAGE = pathlib.Path(__file__).parent
SAMPLE = ("examples", "sample.mp4")
CONFIGS = "configs"


def find_shipped(folder: str, name: str) -> pathlib.Path | None:
    """The path of a file that comes with the package; None if there is no such file."""
    for place in (PACKAGE, PACKAGE.parent):
        path = place / folder / name
        if path.is_file():
            return path
    return None
