"""`rac events`: lists and a dubbed track of a model's events, and refusals."""

import argparse
import csv
import json
import wave

import jax
import numpy as np
import pytest

from rac_jax import media
from rac_jax.cli import events, main
from rac_jax.counting import weights
from rac_jax.models import find_family


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model of events, whose every peak counts."""
    folder = tmp_path_factory.mktemp("events") / "model"
    family = find_family("ta2net")
    arguments = {
        "encoder": "lean",
        "width": 0.0625,
        "frames": 16,
        "flow": "tv_l1_quick",
    }
    network = family.network(**arguments)
    config = {
        "name": "marks",
        "family": "ta2net",
        "arguments": arguments,
        "preprocessing": {"size": 16},
        "threshold": 0.0,
    }
    weights.save_model(folder, config, family.initialise(network, jax.random.key(0)))
    return folder


@pytest.fixture
def rac(capsys):
    """Runs `rac events ...`; returns (exit code, stdout, stderr)."""

    def run(*arguments):
        code = main.main(["events", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_everything_that_can_be_written(rac, model, clip, tmp_path):
    names = {
        kind: tmp_path / f"a.{kind}" for kind in ("json", "csv", "edl", "srt", "midi")
    }
    flags = [part for kind, path in names.items() for part in (f"--{kind}", path)]
    dubbed = tmp_path / "dub.wav"
    flags += ["--dub", dubbed, "--overlay", tmp_path / "a.mp4"]
    flags += ["--plot", tmp_path / "a.png"]
    code, text, err = rac(clip, "--model", model, *flags)
    assert (code, err) == (0, "")
    events = json.loads(names["json"].read_text())["events"]
    assert len(events) > 2
    assert text.splitlines()[-1] == f"{clip}: {len(events)} events"
    rows = list(csv.DictReader(names["csv"].read_text().splitlines()))
    assert [float(r["time_s"]) for r in rows] == pytest.approx(
        [e["time_s"] for e in events], abs=1e-3
    )
    assert names["edl"].read_text().count("* LOC:") == len(events)
    assert names["srt"].read_text().count("-->") == len(events)
    assert names["midi"].read_bytes().count(bytes((0x99, 38))) == len(events)
    with wave.open(str(dubbed)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert seconds == pytest.approx(4.0, abs=0.1)
    # Something is drawn, and nothing else is changed.
    marked, plain = (media.read_video(path) for path in (tmp_path / "a.mp4", clip))
    assert marked.frames.shape == plain.frames.shape
    apart = np.abs(marked.frames.astype(int) - plain.frames).max((1, 2, 3))
    assert apart.max() > 60
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    # The track in place of the video's own sound.
    video = tmp_path / "dub.mp4"
    code, text, _ = rac(clip, "--model", model, "--csv", "-", "--dub", video)
    assert (code, text.startswith("time_s,strength,right,down\n")) == (0, True)
    with wave.open(str(dubbed)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    heard = media.read_audio(video, rate=44100)
    assert media.read_video(video).frames.shape == plain.frames.shape
    least = min(len(heard), len(samples))
    assert np.corrcoef(heard[:least], samples[:least])[0, 1] > 0.9


@pytest.mark.parametrize(
    "arguments, model",
    [
        ((), "ta2net-small"),
        (("--event-kind", "events"), "ta2net-small"),
        (("--event-kind", "ends"), "compact"),
        (("--event-kind=starts",), "compact"),
        (("--model", "repnet-small"), "repnet-small"),
    ],
)
def test_without_a_model_there_is_one_of_what_is_asked_for(arguments, model):
    parser = argparse.ArgumentParser()
    argv = ["video.mp4", *arguments]
    events.add_arguments(parser, argv)
    assert parser.parse_args(argv).model == model


def test_refusals(rac, model, clip, tmp_path):
    code, _, err = rac(clip, "--model", "self-similarity")
    assert (code, err.count("\n")) == (2, 1)
    assert "self-similarity: gives no events" in err
    code, _, err = rac(clip, "--model", model, "--dub", tmp_path / "a.mp3")
    assert (code, "a.mp3: must end in .wav, .mp4" in err) == (2, True)
    code, _, err = rac(clip, "--model", model, "--plot", tmp_path / "a.txt")
    assert (code, "--plot" in err, err.count("\n")) == (2, True, 1)
    code, _, err = rac(clip, "--model", model, "--overlay", tmp_path / "a.gif")
    assert (code, "a.gif: must end in .mp4" in err) == (2, True)
    code, _, err = rac(
        clip,
        "--model",
        model,
        "--dub",
        tmp_path / "a.wav",
        "--sound",
        "none.wav",
    )
    assert (code, "none.wav" in err) == (2, True)
    code, _, err = rac(tmp_path / "gone.mp4", "--model", model)
    assert (code, "gone.mp4" in err) == (1, True)
