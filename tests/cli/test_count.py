"""`rac count` as a user meets it: good files, bad files, and what is written."""

import functools
import json

import pytest

from rac_jax.cli import main as cli
from rac_jax.counting.source import FileSource
from rac_jax.weights import DEFAULT_MODEL


@pytest.fixture
def rac(run_rac):
    """Runs `rac count` with the tiny model; returns (exit code, stdout, stderr)."""
    return functools.partial(run_rac, "count")


@pytest.fixture
def bad_files(tmp_path, clip):
    """Files that cannot be counted."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    (folder / "empty.mp4").touch()
    whole = clip.read_bytes()
    (folder / "headless.mp4").write_bytes(whole[len(whole) // 3 :])
    return folder


def test_a_line_per_file(rac, clip, silent_clip):
    code, out, err = rac(clip, silent_clip)
    assert code == 0
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{clip}: ")
    assert "repetition" in lines[0]
    code, out, _ = rac(clip, silent_clip, "-v")
    assert code == 0
    heard, seen = out.split(f"{silent_clip}: ")
    assert "sight alone: " in heard and "sound alone: " in heard
    assert "sound alone" not in seen


def test_json_has_every_field(rac, clip, tmp_path):
    code, _, _ = rac(clip, "--json", tmp_path / "one.json")
    assert code == 0
    record = json.loads((tmp_path / "one.json").read_text())
    assert record["schema"] == 2
    assert record.keys() >= {
        "file",
        "start_s",
        "duration_s",
        "count",
        "rate",
        "streams",
        "sets",
        "confidence",
        "details",
        "model",
        "family",
        "seconds",
        "faults",
    }
    assert [stream["name"] for stream in record["streams"]] == ["sight", "sound"]
    assert record["streams"][0].keys() == {"name", "count", "weight", "windows"}
    assert record["streams"][0]["windows"][0].keys() == {"start_s", "end_s", "count"}
    assert record["rate"].keys() == {"edges_s", "per_s"}


def test_json_on_stdout_is_only_json(rac, clip, silent_clip):
    code, out, err = rac(clip, silent_clip, "--json", "-")
    assert code == 0
    assert [record["file"] for record in json.loads(out)] == [
        str(clip),
        str(silent_clip),
    ]
    assert "repetition" in err


def test_a_folder_is_a_list(rac, clip):
    code, out, _ = rac(clip.parent, "--json", "-")
    assert code == 0
    assert str(clip) in [record["file"] for record in json.loads(out)]


@pytest.mark.parametrize("name", ["text.mp4", "empty.mp4", "headless.mp4"])
def test_a_bad_file_is_one_line_and_the_others_are_counted(rac, bad_files, clip, name):
    code, out, err = rac(bad_files / name, clip)
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert name in err
    assert "Traceback" not in err
    assert out.startswith(f"{clip}: ")


def test_a_truncated_file_is_counted_as_far_as_it_goes(rac, tmp_path, clip):
    whole = clip.read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    code, out, err = rac(
        tmp_path / "truncated.mp4", clip, "--json", tmp_path / "out.json"
    )
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert "truncated.mp4: counted what can be read; " in err
    assert "the file promises 4.0 s" in err
    assert len(out.splitlines()) == 2
    broken, good = json.loads((tmp_path / "out.json").read_text())
    assert broken["faults"]
    assert broken["duration_s"] < 3.5
    assert good["faults"] == []


def test_missing_path_and_empty_folder(rac, tmp_path, clip):
    (tmp_path / "nothing").mkdir()
    code, out, err = rac(tmp_path / "missing.mp4", tmp_path / "nothing", clip)
    assert code == 1
    assert len(err.strip().splitlines()) == 2
    assert "missing.mp4" in err
    assert "nothing" in err
    assert out.startswith(f"{clip}: ")


def test_failures_are_in_the_json(rac, bad_files, clip):
    code, out, _ = rac(bad_files, clip, "--json", "-")
    assert code == 1
    records = json.loads(out)
    assert len(records) == 4
    assert sum("error" in record for record in records) == 3


def test_sound_file_alone(rac, tmp_path):
    import wave

    import numpy as np

    from tests.conftest import knocks

    with wave.open(str(tmp_path / "knocks.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes((knocks(5.0) * 2**14).astype(np.int16).tobytes())
    code, out, _ = rac(tmp_path / "knocks.wav", "-v")
    assert code == 0
    assert "sight alone" not in out
    assert "sound alone" in out


def test_plot_and_annotate(rac, clip, silent_clip, tmp_path):
    code, _, err = rac(
        clip, "--plot", tmp_path / "plot.svg", "--annotate", tmp_path / "out.mp4"
    )
    assert (code, err) == (0, "")
    assert (tmp_path / "plot.svg").stat().st_size > 1000
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    code, _, _ = rac(clip, silent_clip, "--plot", tmp_path / "plots")
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == [
        "clip.mp4.png",
        "silent.mp4.png",
    ]


def test_one_plot_file_for_two_videos_is_refused(rac, clip, silent_clip, tmp_path):
    code, out, err = rac(clip, silent_clip, "--plot", tmp_path / "plot.png")
    assert (code, out) == (2, "")
    assert "plot.png: names one file, but there are several videos" in err


@pytest.mark.parametrize(
    "arguments",
    [("--stride", "0"), ("--stride", "x"), ("--max-stride", "-1"), ("--start", "-1")],
)
def test_bad_options_name_the_option(rac, clip, arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        rac(clip, *arguments)
    assert exit_info.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_end_before_start(rac, clip):
    code, _, err = rac(clip, "--start", "3", "--end", "2")
    assert code == 2
    assert "--end: 2 s is not after --start 3 s" in err


def test_unknown_model_lists_the_known_ones(clip, capsys):
    code = cli.main(["count", str(clip), "--model", "nonesuch"])
    assert code == 2
    err = capsys.readouterr().err
    assert "nonesuch" in err
    assert DEFAULT_MODEL in err
    assert len(err.strip().splitlines()) == 1


def test_the_first_file_is_read_while_the_model_is_loaded(
    rac, clip, silent_clip, monkeypatch
):
    begun, begin = [], FileSource.begin

    def spy(source):
        begun.append(source.name)
        begin(source)

    monkeypatch.setattr(FileSource, "begin", spy)
    code, early, _ = rac(clip, silent_clip)
    assert code == 0 and begun == [str(clip)]
    # Each is counted as it is by itself, begun early or not.
    alone = [rac(path)[1] for path in (clip, silent_clip)]
    assert early == "".join(alone)
    rac(clip, "--no-sight")
    assert len(begun) == 4


def test_options_of_other_families_are_refused_by_name(clip, capsys):
    for arguments in (("--no-sight",), ("--protocol", "paper")):
        words = ["count", str(clip), "--model", "self-similarity", *arguments]
        assert cli.main(words) == 2
        err = capsys.readouterr().err
        assert f"{arguments[0]}: is no option of self-similarity (it has: none)" in err
        assert len(err.strip().splitlines()) == 1


def test_help_shows_the_models_own_options(capsys):
    texts = []
    for model in ("compact", "sight-sound-small", "self-similarity"):
        with pytest.raises(SystemExit):
            cli.main(["count", "--model", model, "--help"])
        texts.append(capsys.readouterr().out)
        assert f"options of {model}:" in texts[-1]
    assert ["--max-stride" in text for text in texts] == [True, True, False]
    assert ["--protocol" in text for text in texts] == [False, True, False]


def test_skimming_a_short_file_looks_at_all_of_it(rac, clip, tmp_path):
    code, out, err = rac(clip, "--skim", "20%", "--json", tmp_path / "one.json")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith(f"{clip}: ")
    assert second.startswith("  looked at all of it: ")
    whole = json.loads((tmp_path / "one.json").read_text())
    assert whole["details"]["skim"]["looked_share"] == 1
    rac(clip, "--json", tmp_path / "two.json")
    assert whole["count"] == json.loads((tmp_path / "two.json").read_text())["count"]
    with pytest.raises(SystemExit):
        rac(clip, "--skim", "0")
