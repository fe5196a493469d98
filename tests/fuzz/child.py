"""The process that reads damaged files under limits: `child KIND SEED FIRST LAST FOLDER`."""

import pathlib
import resource
import sys

import numpy as np

from tests.fuzz.changes import damaged
from tests.fuzz.kinds import KINDS

MEMORY = 2 << 30
DISK = 1 << 30


def finding(error: Exception, path: pathlib.Path) -> str | None:
    """What is wrong with a failure of the library; None if it is one line with the file's name."""
    text = str(error)
    kind = type(error).__name__
    if not isinstance(error, ValueError | OSError) or isinstance(error, UnicodeError):
        return f"{kind}: {text!r}"
    if kind == "DecoderCrashed":
        return f"the decoder died: {text!r}"
    # Lines of a table are named without the folder, a cache and a model by their folder.
    if "\n" in text or not (path.name in text or str(path.parent) in text):
        return f"not one line with the file's name: {kind}: {text!r}"
    return None


def main(kind: str, seed: int, first: int, last: int, folder: pathlib.Path) -> None:
    """Runs cases; says "case N" before each, and "found N REASON" where one is a finding."""
    make, read = KINDS[kind]
    files = make(folder)
    sound = [path.read_bytes() for path in files]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    for case in range(first, last):
        print("case", case, flush=True)
        dice = np.random.default_rng([seed, case])
        chosen = int(dice.integers(len(files)))
        path = files[chosen]
        path.write_bytes(damaged(sound[chosen], dice))
        try:
            read(path)
        # What else may be raised is what is looked for.
        except Exception as error:  # noqa: BLE001
            if (what := finding(error, path)) is not None:
                print("found", case, path.name, what, flush=True)
        path.write_bytes(sound[chosen])


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), pathlib.Path(sys.argv[5]))
