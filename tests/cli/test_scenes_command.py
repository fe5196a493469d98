"""`rac scenes` writes videos that read back, with labels that agree with their names."""

import csv
import json

import pytest

from rac_jax import media
from rac_jax.cli import main
from rac_jax.scenes import CHALLENGES

pytestmark = pytest.mark.usefixtures("quick_compiling")

OPTIONS = ["--num", "2", "--seed", "3", "--seconds", "1.5", "--size", "32x48"]


def test_writes_videos_labels_and_records(tmp_path, capsys):
    out = tmp_path / "scenes"
    assert main.main(["scenes", "--out", str(out), "--json", *OPTIONS]) == 0
    with (out / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["scene_00000.mp4", "scene_00001.mp4"]
    for row in rows:
        info = media.probe(out / row["file"])
        assert (info.height, info.width) == (32, 48) and info.has_audio
        assert info.duration_s == pytest.approx(1.5, abs=0.1)
        known = json.loads((out / row["file"]).with_suffix(".json").read_text())
        assert known["count"] == int(row["count"]) == len(known["cycles"])
        assert known["seed"] == 3
    assert "scene_00001.mp4" in capsys.readouterr().out


def test_draws_a_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    assert main.main(["scenes", "--sheet", str(sheet), *OPTIONS]) == 0
    assert sheet.read_bytes()[:4] == b"\x89PNG"


def test_says_what_is_missing_or_wrong(tmp_path, capsys):
    assert main.main(["scenes"]) == 2
    assert "--out" in capsys.readouterr().err
    wrong = ["scenes", "--out", str(tmp_path), "--kinds", "walk"]
    assert main.main(wrong) == 1
    assert "walk" in capsys.readouterr().err


@pytest.mark.slow
def test_challenges_take_turns(tmp_path, capsys):
    out = tmp_path / "hard"
    options = ["--num", "3", "--seconds", "1", "--size", "16x16", "--challenges", "all"]
    assert main.main(["scenes", "--out", str(out), *options]) == 0
    rows = list(csv.DictReader((out / "labels.csv").read_text().splitlines()))
    assert [row["challenges"] for row in rows] == list(CHALLENGES[:3])
    capsys.readouterr()
    assert main.main(["scenes", "--out", str(out), "--challenges", "fog"]) == 1
    assert "'fog' is not one of" in capsys.readouterr().err


def test_fields_of_the_scenes_can_be_set(tmp_path, capsys):
    out = tmp_path / "regular"
    fields = ["--config", "period=(10,10)", "jitter=0.0", "cut=1.0", "pause=0.0"]
    fields += ["still=0.0", "tempo_drift=0.0"]
    options = ["--num", "1", "--seconds", "2", "--size", "16x16", *fields]
    assert main.main(["scenes", "--out", str(out), "--json", *options]) == 0
    known = json.loads((out / "scene_00000.json").read_text())
    assert "--config 'period=(10, 10)' jitter=0.0" in known["command"]
    assert known["count"] == pytest.approx(5, abs=1)  # 50 frames
    assert main.main(["scenes", "--out", str(out), "--config", "fog=1"]) == 1
    assert "--config fog: scenes have no such field" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main.main(["scenes", "--out", str(out), "--config", "pause=often"])
    assert "is not FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seconds", "0.01"), "scenes: --seconds 0.01, --fps 25: 0 frames"),
        (("--fps", "1e9"), "scenes: --seconds 8, --fps 1e"),
        (("--seed", "12345678901234567890"), "--seed: '12345678901234567890' is not"),
        (("--seed", "-1"), "--seed: '-1' is not a whole number from 0"),
        (("--size", "99999x99999"), "--size: '99999x99999' is not"),
        (("--still", "3"), "--still: '3' is not a share from 0 to 1"),
        (("--damage", "nan"), "--damage: 'nan' is not a share from 0 to 1"),
    ],
)
def test_what_no_scene_can_be(tmp_path, capsys, arguments, message):
    try:
        code = main.main(["scenes", "--out", str(tmp_path / "out"), *arguments])
    except SystemExit as exit_:
        code = exit_.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err
