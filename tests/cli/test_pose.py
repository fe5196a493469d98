"""`rac pose` with networks that are told what to say."""

import sys

import numpy as np

from rac_jax.cli import main
from rac_jax.data import blazepose, skeletons


class Anywhere:
    """Networks that see a person in the middle of every picture."""

    def detector(self, shown):
        boxes, scores = np.zeros((1, 2254, 12)), np.full((1, 2254, 1), 3.0)
        away = np.array([[0.5, 0.5], [0.5, 0.3]]) - blazepose.anchors()[0]
        boxes[0, 0, 4:8] = 224 * away.ravel()
        return [boxes, scores]

    def landmarker(self, shown):
        points = np.full((1, 39, 5), 128.0)
        points[0, 34, 1] = 40
        heat = np.full((1, 64, 64, 39), -9.0)
        return [points.reshape(1, 195), np.ones((1, 1)), heat]


def test_files_are_written_and_bad_ones_said(clip, tmp_path, monkeypatch, capsys):
    script = Anywhere()

    def networks(place, threads):
        assert place == "m.whl" and threads >= 1
        return [script.detector, script.landmarker]

    monkeypatch.setattr(blazepose, "load_networks", networks)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    arguments = ["pose", str(clip), str(broken), "--models", "m.whl", "--out", str(out)]
    arguments += ["--end", "1", "--format", "json", "--fps", "8"]
    assert main.main(arguments) == 1
    said = capsys.readouterr()
    record = skeletons.read_skeletons(out / "clip.json")
    # Of 25 per second every fourth is the first that comes late enough.
    assert len(record.poses) == 7 and record.poses[..., 2].all()
    assert "clip.mp4: a person in 7 of 7 frames" in said.out
    assert "broken.mp4: " in said.err and [one.name for one in out.iterdir()] == [
        "clip.json"
    ]


def test_what_cannot_start(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    assert main.main(["pose", str(clip)]) == 2
    assert 'pip install "rac_jax[pose]"' in capsys.readouterr().err
    assert main.main(["pose", str(clip), "--start", "2", "--end", "1"]) == 2
    assert "--end: 1 s is not after --start 2 s" in capsys.readouterr().err
