"""Programs that tests run in a Python of their own, as what other tests did must not count."""

import os
import pathlib
import socket
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


def cpu_environment(**more: str) -> dict[str, str]:
    """This process's environment, with the CPU as the only device."""
    return os.environ | {"JAX_PLATFORMS": "cpu"} | more


def start(module: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Starts a module as a program on the CPU; what it prints, errors too, goes to `stdout`."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=cpu_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen, timeout_s: float) -> str:
    """What is left of what a started program prints, once it has ended without errors."""
    text, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, text
    return text


def free_address() -> str:
    """Where several processes of this machine can find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
