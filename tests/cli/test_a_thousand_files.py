"""A thousand files in one command while things go wrong around it."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import knocks, moving_square

FILES = 1000
KINDS = 5  # clips that differ, each many times under other names


def clip_of(folder: pathlib.Path, kind: int) -> pathlib.Path:
    from rac_jax.media import encode

    path = folder / f"kind{kind}.mp4"
    frames = moving_square(60, period=8.0 + 2 * kind)
    sound = knocks(2.4) if kind % 2 else None
    encode.write_video(path, frames, 25, sound, 22050 if kind % 2 else None)
    return path


def workers_of(pid: int) -> list[int]:
    """The child processes of a process."""
    listed = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in listed for child in file.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_thousand_files_under_faults(tmp_path):
    folder, clips = tmp_path / "folder", tmp_path / "clips"
    folder.mkdir()
    clips.mkdir()
    kinds = [clip_of(clips, kind) for kind in range(KINDS)]
    names = [folder / f"f{number:04d}.mp4" for number in range(FILES)]
    for number, name in enumerate(names):
        os.link(kinds[number % KINDS], name)
    model = ["--model", "frame-differences"]
    command = [sys.executable, "-m", "rac_jax.cli.main", "count", *model]
    # What each should give, counted in peace.
    alone = tmp_path / "alone.json"
    subprocess.run([*command, str(clips), "--json", str(alone)], check=True)
    right = [record["count"] for record in json.loads(alone.read_text())]

    rng = random.Random(0)
    target = tmp_path / "all.json"
    hurt: set[pathlib.Path] = set()
    kills = 0
    log = (tmp_path / "err").open("w")
    process = subprocess.Popen(
        [*command, str(folder), "--json", str(target)],
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    # The folder is searched before the first file is opened.
    while not workers_of(process.pid):
        time.sleep(0.05)
    while process.poll() is None:
        time.sleep(0.3)
        match rng.randrange(3):
            case 0:
                for child in workers_of(process.pid)[:1]:
                    os.kill(child, signal.SIGKILL)
                    kills += 1
            case 1:
                name = rng.choice(names)
                name.unlink(missing_ok=True)
                hurt.add(name)
            case 2:
                # A file that turns into something else, by a new one in its place.
                name = rng.choice(names)
                draft = tmp_path / "draft"
                draft.write_bytes(rng.randbytes(2000))
                os.replace(draft, name)
                hurt.add(name)
    log.close()
    records = json.loads(target.read_text())
    assert process.returncode == 1 and len(records) == FILES
    failed = 0
    for number, (name, record) in enumerate(zip(names, records, strict=True)):
        assert record["file"] == str(name)
        if "error" in record:
            failed += 1
            assert record["error"].startswith(str(name))
            assert name in hurt or "its decoder crashed" in record["error"]
        elif not record["faults"] and name not in hurt:
            assert record["count"] == pytest.approx(right[number % KINDS], abs=1e-6)
    lines = (tmp_path / "err").read_text().splitlines()
    assert all(line.startswith("rac: ") for line in lines)
    print(
        f"{FILES} files, {kills} workers killed, {len(hurt)} files hurt, {failed} failed"
    )
    assert kills > 3 and 0 < failed <= len(hurt) + kills
