"""`rac teach --record`: clips and tags from a source that is none and keys that nobody presses."""

import io

import pytest

from rac_jax.cli.main import main
from tests.train.test_recording import FakeSource


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """What sources were opened with."""
    found = {}

    class FakeLive(FakeSource):
        def __init__(self, name, **arguments):
            super().__init__(20)
            found[name] = arguments

        def close(self):
            found["closed"] = True

    monkeypatch.setattr("rac_jax.media.live.LiveSource", FakeLive)
    monkeypatch.setattr("sys.stdin", io.StringIO("nonsense\n"))
    return found


def test_what_is_recorded_is_kept_and_added_to(tmp_path, opened, capsys):
    folder = tmp_path / "clips"
    command = ["teach", "--record", str(folder), "--out", str(tmp_path / "model")]
    # Nothing was marked, so there is nothing to teach by yet.
    for number in (1, 2):
        assert main([*command, "--camera", "3"]) == 2
        said = capsys.readouterr()
        assert said.out == f"{folder}/clip{number:02d}.mp4: 0 repetitions marked\n"
        first, second = said.err.splitlines()
        assert first.startswith(f"camera 3: recorded into {folder}. Enter: a rep")
        assert "tags.csv: marks 0 repetitions in 0 clips; at least 4 in 2" in second
    assert opened["camera 3"]["short_side"] == 256 and opened["closed"]
    tags = (folder / "tags.csv").read_text()
    assert tags == "file,start_s,end_s,middle_s\nclip01.mp4,,,\nclip02.mp4,,,\n"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --tags --record is required"),
        (["--tags", "a.csv", "--record", "b"], "not allowed with argument --tags"),
        (
            ["--record", "b", "--camera", "1", "--source", "c"],
            "not allowed with argument --camera",
        ),
    ],
)
def test_what_excludes_what(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["teach", "--out", "model", *arguments])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
