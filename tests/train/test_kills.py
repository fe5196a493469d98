"""Every family's recipe killed thirty times, and with the disk full once: it ends bit for bit the same."""

import pathlib
import shutil
import signal
import subprocess
import sys

import flax.traverse_util
import ml_collections
import numpy as np
import pytest
import safetensors.numpy

from rac_jax import models
from tests import own_process
from tests.models.compact import tiny_run as compact_run
from tests.models.repnet import tiny_run as repnet_run
from tests.train import toy

pytestmark = pytest.mark.slow

KILLS = 30
# Seconds after which a run is killed: from before its first step to into a later stage.
SOONEST_S, LATEST_S = 4.0, 25.0
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


def _flags(variant: str, config: ml_collections.ConfigDict, base) -> list[str]:
    """The command line that makes a base config this one."""
    flat, known = (
        flax.traverse_util.flatten_dict(one.to_dict(), sep=".")
        for one in (config, base)
    )
    changed = [name for name, value in flat.items() if known.get(name) != value]
    return [
        f"--config={CONFIGS / variant}",
        *(f"--config.{name}={flat[name]}" for name in changed),
    ]


def _compact() -> list[str]:
    fields = {f"{stage}.epoch_steps": 6 for stage in compact_run.STAGES}
    fields |= {f"{stage}.checkpoint_steps": 2 for stage in compact_run.STAGES}
    config = compact_run.tiny_config(fields)
    return _flags("compact.py:quick", config, compact_run.load_config("quick"))


def _repnet() -> list[str]:
    config = repnet_run.tiny_config(
        {"windows.epoch_steps": 12, "windows.checkpoint_steps": 3}
    )
    # A whole section cannot be replaced on the command line.
    config.windows.scenes = repnet_run.load_config("small").windows.scenes
    return _flags("repnet.py:small", config, repnet_run.load_config("small"))


def _sight_sound() -> list[str]:
    longer = {"sight__epoch_steps": 12, "sight__checkpoint_steps": 5}
    return toy.arguments("unused", **longer)


ARGUMENTS = {"compact": _compact, "repnet": _repnet, "sight_sound": _sight_sound}


def _command(arguments: list[str], folder: pathlib.Path) -> list[str]:
    own = [one for one in arguments if not one.startswith("--workdir")]
    return ["train", *own, f"--workdir={folder}"]


def _variables(folder: pathlib.Path) -> dict[str, np.ndarray]:
    found = {}
    for path in sorted(folder.glob("*/variables.safetensors")):
        for name, value in safetensors.numpy.load_file(path).items():
            found[f"{path.parent.name}/{name}"] = value
    return found


def _stage(folder: pathlib.Path, stages: list[str]) -> str:
    """The first stage that is not finished."""
    left = [name for name in stages if not (folder / name / "finished.json").exists()]
    return left[0] if left else "measured"


@pytest.mark.parametrize("family", ARGUMENTS)
def test_killed_thirty_times_and_the_disk_full_once(family, tmp_path):
    arguments, folder = ARGUMENTS[family](), tmp_path / "run"
    stages = [stage.name for stage in models.find_family(family).recipe().stages]
    straight = tmp_path / "straight"
    own_process.finish(
        own_process.start("rac_jax.cli.main", *_command(arguments, straight)), 1200
    )
    wanted, hit = _variables(straight), []
    rng = np.random.default_rng(0)

    def check() -> None:
        found = _variables(folder)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value)

    # Files of at most 64 KiB, as on a disk without more room: one line, and nothing half written.
    command = [sys.executable, "-m", "rac_jax.cli.main", *_command(arguments, folder)]
    full = subprocess.run(
        ["bash", "-c", 'ulimit -f 64; exec "$@"', "bash", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=own_process.ROOT,
        env=own_process.cpu_environment(),
    )
    assert full.returncode == 1
    # Beside it the library that writes may say on its own that threads of it were stopped.
    told = [line for line in full.stderr.splitlines() if line.startswith("rac: ")]
    (line,) = told
    assert "a checkpoint cannot be written (File too large)" in line

    for _ in range(KILLS):
        process = own_process.start("rac_jax.cli.main", *_command(arguments, folder))
        try:
            # Later and later, so that the stages after the first are reached, too.
            wait_s = rng.uniform(SOONEST_S, LATEST_S) + len(hit)
            process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            hit.append(_stage(folder, stages))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        else:
            # It was faster than the kill: the next one begins anew.
            assert process.returncode == 0
            check()
            shutil.rmtree(folder)
    own_process.finish(
        own_process.start("rac_jax.cli.main", *_command(arguments, folder)), 1200
    )
    check()
    print(family, "killed in", {name: hit.count(name) for name in sorted(set(hit))})
    assert len(hit) >= KILLS // 2 and len(set(hit)) >= min(3, len(stages) + 1)
