"""`rac train` and `rac evaluate` on media that lie as the data sets' own do, and on a plain CSV."""

import json
import pathlib

import numpy as np
import pytest

import rac_jax
from rac_jax.cli import main, train
from rac_jax.media import encode
from tests.conftest import knocks, moving_square
from tests.train import toy

pytestmark = pytest.mark.slow

FPS = 25
# Two steps of each stage.
TWO_STEPS = {
    "data__size": 32,
    "data__workers": 0,
    "sight__epochs": 1,
    "sound__epochs": 1,
    "sight__batch": 2,
    "sound__batch": 2,
    "stride__epoch_steps": 2,
    "reliability__epoch_steps": 2,
    "model__sight_classes": 3,
    "model__sound_classes": 3,
}


def render(path: pathlib.Path, seconds: float, period_s: float) -> None:
    """A square that moves to and fro, and a knock for each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = moving_square(round(seconds * FPS), period=period_s * FPS)
    encode.write_video(
        path, frames.astype(np.uint8), FPS, knocks(seconds, period_s=period_s), 22050
    )


def run_train(workdir: pathlib.Path, variant: str, paths: dict[str, str], **fields):
    """The arguments of a short run on labels; the exit code."""
    arguments = [f"--config={toy.CONFIG}{variant}", f"--workdir={workdir}"]
    chosen = {name: v for name, v in toy.FIELDS.items() if not name.startswith("data.")}
    chosen |= {name.replace("__", "."): value for name, value in fields.items()}
    for split, path in paths.items():
        chosen[f"data.{split}.kind"] = "csv"
        chosen[f"data.{split}.path"] = path
    known = train.load_config(f"{toy.CONFIG}{variant}")
    for name, value in chosen.items():
        section, _, field = name.partition(".")
        if field.partition(".")[0] in known[section]:
            arguments.append(f"--config.{name}={value}")
    return train.main(arguments)


def counted(workdir: pathlib.Path, labels: str, folder: pathlib.Path) -> dict:
    """The report of `rac evaluate` with the trained model."""
    out = folder / "report.json"
    arguments = ["evaluate", labels, "--model", str(workdir / "export")]
    assert main.main([*arguments, "--out", str(out)]) == 0
    return json.loads(out.read_text())


def test_countix_av(tmp_path, capsys):
    videos = tmp_path / "kinetics"
    header = "video_id,class,kinetics_start,kinetics_end,repetition_start,repetition_end,count\n"
    paths = {}
    for seed, split in enumerate(("train", "val", "test")):
        rows = []
        for index in range(3):
            name = f"v{seed}_{index}"
            render(videos / "clapping" / f"{name}_000020_000026.mp4", 6.0, 0.5)
            # Two parts of one video.
            rows.append(f"{name},clapping,20,26,20.0,23.0,6.0\n")
            rows.append(f"{name},clapping,20,26,23.0,26.0,6.0\n")
        rows.append(f"gone{seed},clapping,20,26,20.0,23.0,6.0\n")
        if split == "test":
            rows = [row.replace(",clapping", "") for row in rows]
        file = tmp_path / f"countix_av_{split}.csv"
        head = header.replace(",class", "") if split == "test" else header
        file.write_text(head + "".join(rows))
        paths[split] = f"countix_av:{file},videos={videos}"
    assert run_train(tmp_path / "run", "", paths, **TWO_STEPS) == 0
    capsys.readouterr()
    report = counted(tmp_path / "run", paths["test"], tmp_path)
    assert "1 of 4 videos are missing: gone2.mp4" in capsys.readouterr().err
    assert len(report["videos"]) == report["overall"]["n"] == 6
    assert [v["start_s"] for v in report["videos"][:2]] == [0.0, 3.0]


def test_ucfrep(tmp_path):
    videos = tmp_path / "UCF-101"
    header = ",name,counts,num_frames,start_frame,end_frame,L1,L2,L3,L4,L5,L6,L7,L8\n"
    paths = {}
    for seed, split in enumerate(("train", "val")):
        rows = []
        for index in range(4):
            name = f"Biking/v_Biking_g0{seed}_c0{index}.avi"
            render((videos / name).with_suffix(".mp4"), 4.0, 1.0)
            rows.append(f"{index},UCF-101/{name},3.0,76.0,10.0,85.0,")
            rows[-1] += "10.0,35.0,35.0,60.0,60.0,85.0,,\n"
        file = tmp_path / f"ucfrep_{split}.csv"
        file.write_text(header + "".join(rows))
        paths[split] = f"ucfrep:{file},videos={videos}"
    # There are two splits; the paper's figures are of the second.
    paths["test"] = paths["val"]
    fields = TWO_STEPS | {"data__labels": "cycles"}
    assert run_train(tmp_path / "run", "", paths, **fields) == 0
    report = counted(tmp_path / "run", paths["test"], tmp_path)
    assert report["overall"]["n"] == 4
    assert {tuple(v["groups"]["label"]) for v in report["videos"]} == {("Biking",)}


def test_a_csv_of_12_clips(tmp_path):
    """All stages, from labels and challenges to a model that counts."""
    paths = {}
    for split, number in (("train", 6), ("val", 3), ("test", 3)):
        rows = ["file,start_s,end_s,count,label,challenges\n"]
        for index in range(number):
            period_s = (0.4, 0.5, 0.8)[index % 3]
            render(tmp_path / f"{split}{index}.mp4", 4.0, period_s)
            hard = ("", "low illumination;fast motion", "fast motion")[index % 3]
            rows.append(f"{split}{index}.mp4,,,{4 / period_s:g},square,{hard}\n")
        (tmp_path / f"{split}.csv").write_text("".join(rows))
        paths[split] = str(tmp_path / f"{split}.csv")
    assert run_train(tmp_path / "run", "", paths, **TWO_STEPS) == 0
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    challenges = report["challenges"]
    assert challenges["fast motion"]["fused"]["n"] == 2
    assert challenges["low illumination"]["fused"]["n"] == 1
    counter = rac_jax.load(tmp_path / "run" / "export")
    assert np.isfinite(counter.count(str(tmp_path / "test0.mp4")).count)
