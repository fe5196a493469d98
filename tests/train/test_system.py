"""The real system on several devices and processes, killed, and through every sweep."""

import functools
import json
import signal
import time

import flax.traverse_util
import numpy as np
import pytest
import safetensors.numpy

from rac_jax.cli import train
from rac_jax.cli.main import main
from tests import own_process
from tests.train import toy

pytestmark = pytest.mark.slow


rac = functools.partial(own_process.start, "rac_jax.cli.main")
finish = functools.partial(own_process.finish, timeout_s=1200)


@pytest.mark.parametrize("stage", ["sight", "sound", "stride", "reliability"])
def test_a_step_on_eight_devices_is_that_on_one(stage, tmp_path):
    found = []
    # As JAX may order them on machines whose wires want it so.
    order = ("--order", 0, 4, 1, 5, 2, 6, 3, 7)
    for name, devices in (("one", ()), ("eight", ("--devices=8", "--fsdp=2", *order))):
        file = tmp_path / f"{name}.npz"
        finish(
            own_process.start(
                "tests.train.system_step", file, "--stage", stage, *devices
            )
        )
        with np.load(file) as arrays:
            found.append(dict(arrays))
    one, eight = found
    assert one.keys() == eight.keys() and len(one) > 100
    for name, value in one.items():
        # The norm adds the roundings of all gradients, which other sums of eight parts have.
        rtol = 1e-4 if name == "[2]['gradient_norm']" else 1e-5
        np.testing.assert_allclose(eight[name], value, rtol=rtol, atol=1e-5)


# Plain descent: Adam makes a large difference of a small one where a gradient is almost zero.
DESCENT = {
    f"{stage}__optimiser__{field}": value
    for stage in ("sight", "sound", "stride", "reliability")
    for field, value in {"name": "sgd", "learning_rate": 1e-4}.items()
}
LONGER = {"sight__epoch_steps": 12, "sight__checkpoint_steps": 5}


def variables(folder) -> dict[str, np.ndarray]:
    found = {}
    for stage in ("sight", "sound", "stride", "reliability"):
        path = folder / stage / "variables.safetensors"
        found |= safetensors.numpy.load_file(path)
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    finish(rac("train", *toy.arguments(folder, **DESCENT, **LONGER)))
    return folder


def test_the_measurement_is_what_the_counter_says(straight):
    # The videos are those of the run's cache.
    run = toy.make_run(toy.toy_config(), straight)
    trained = flax.traverse_util.unflatten_dict(variables(straight), sep="/")
    counter, videos = run.counter(trained), run.source("test")
    report = json.loads((straight / "evaluation.json").read_text())
    assert len(report["videos"]) == len(videos) == 4
    for index, row in enumerate(report["videos"]):
        video = videos[index]
        result = counter.count(
            video.frames,
            fps=video.fps,
            waveform=video.waveform,
            audio_rate=video.audio_rate or None,
        )
        assert row["fused"] == pytest.approx(result.count, abs=1e-3)
        assert row["stride"] == result.details["stride"]


def test_two_processes_and_a_change_of_their_number(straight, tmp_path):
    address = own_process.free_address()
    arguments = toy.arguments(tmp_path / "run", **DESCENT, **LONGER)
    shared = ["--num_processes=2", f"--coordinator={address}"]
    both = [
        rac("train", *arguments, *shared, f"--process_id={i}", PYTHONUNBUFFERED="1")
        for i in range(2)
    ]
    # Stopped in the middle of its first stage ...
    checkpoints = tmp_path / "run" / "sight" / "checkpoints"
    while not (checkpoints / "5").exists():
        time.sleep(0.2)
        assert all(process.poll() is None for process in both)
    for process in both:
        process.send_signal(signal.SIGTERM)
    assert "stopped at step" in finish(both[0])
    finish(both[1])
    # ... it goes on alone, and ends where an undisturbed run does.
    text = finish(rac("train", *arguments))
    assert "sight: goes on from step" in text
    one, two = variables(tmp_path / "run"), variables(straight)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=1e-3, atol=1e-4)


def test_two_processes_run_every_stage(straight, tmp_path):
    address = own_process.free_address()
    arguments = toy.arguments(tmp_path / "run", **DESCENT, **LONGER)
    shared = ["--num_processes=2", f"--coordinator={address}"]
    both = [rac("train", *arguments, *shared, f"--process_id={i}") for i in range(2)]
    for process in both:
        finish(process)
    one, two = variables(tmp_path / "run"), variables(straight)
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=1e-3, atol=1e-4)


def test_every_sweep_runs_and_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAC_JAX_CACHE", str(tmp_path / "compiled"))
    workdir = tmp_path / "sweeps"
    fields = {"data__cache": tmp_path / "cache", "data__train__number": 4}
    for name, sweep in train.load_sweeps(str(toy.CONFIG)).items():
        arguments = toy.arguments(workdir, **fields)
        assert train.main([*arguments, f"--sweep={name}"]) == 0
        for run in sweep["runs"]:
            report = json.loads((workdir / run / "evaluation.json").read_text())
            assert report["estimators"]["fused"]["n"] == 4
        capsys.readouterr()
        assert main(["evaluate", "--sweep", name, "--workdir", str(workdir)]) == 0
        printed = capsys.readouterr().out
        assert sweep["title"] in printed
        for row in sweep["rows"]:
            assert row["name"] in printed


def test_annotated_video_trains_by_the_papers_recipe(tmp_path, caplog):
    folder = tmp_path / "scenes"
    scenes = ["--num", "6", "--seed", "3"]
    assert main(["scenes", "--out", str(folder), *scenes]) == 0
    (folder / "broken.mp4").write_bytes(b"no video")
    labels = folder / "labels.csv"
    columns = labels.read_text().splitlines()[0].count(",") + 1
    with labels.open("a") as file:
        file.write("broken.mp4,,,3" + "," * (columns - 4) + "\n")
    data = {f"data__{split}__path": labels for split in ("train", "val", "test")}
    arguments = toy.arguments(tmp_path / "run", "", data__workers=1, **data)
    # The paper's variant has no scenes to change.
    arguments = [one for one in arguments if ".scenes." not in one]
    assert train.main(arguments) == 0
    assert "skipped" in caplog.text and "broken.mp4" in caplog.text
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert len(report["videos"]) == 6
    assert (tmp_path / "run" / "export" / "config.json").exists()


@pytest.mark.parametrize("variant", ["released", "scenes"])
def test_other_variants_train(variant, tmp_path):
    kinds = {f"data__{split}__kind": "scenes" for split in ("train", "val", "test")}
    fields = {} if variant == "scenes" else kinds | {"stride__strides": (1, 2)}
    arguments = toy.arguments(tmp_path / "run", variant, **fields)
    if variant == "released":
        arguments = [one for one in arguments if ".scenes." not in one]
    assert train.main(arguments) == 0
    assert (tmp_path / "run" / "export" / "config.json").exists()
