"""Programs that tests run in a Python of their own, as what other tests did must not count."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def output(program: str, *arguments: object) -> str:
    """What a program prints that is run in the project's folder, to its end and without errors."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
