"""Cue lists as editors read them, and the dubbed track."""

import csv
import struct
import wave

import numpy as np
import pytest

from rac_jax.view import cues, dub
from rac_jax.view.cues import Cue
from tests.results import evenly, repetition_set, with_sets

THREE = [Cue(0.52, 1.0, (0.25, 0.75)), Cue(0.6, 0.5), Cue(3661.04, 0.0)]


def test_cues_of_a_result():
    details = {"strengths": [0.9, 0.8], "places": [[0.1, 0.2], [0.3, 0.4]]}
    result = evenly(2.0, events=(1.0, 2.5), details=details)
    assert cues.cues_of(result) == [
        Cue(1.0, 0.9, (0.1, 0.2)),
        Cue(2.5, 0.8, (0.3, 0.4)),
    ]
    cycles = with_sets(repetition_set(1.0, 2, 2.0))
    assert cues.cues_of(cycles) is None
    assert cues.cues_of(cycles, "ends") == [Cue(3.0), Cue(5.0)]


def test_csv():
    rows = list(csv.DictReader(cues.to_csv(THREE).splitlines()))
    assert rows[0] == {
        "time_s": "0.5200",
        "strength": "1.0000",
        "right": "0.2500",
        "down": "0.7500",
    }
    assert rows[1]["right"] == ""


def test_edl():
    lines = cues.to_edl(THREE, 25.0, "my clip.mp4").splitlines()
    assert lines[:3] == ["TITLE: my clip.mp4", "FCM: NON-DROP FRAME", ""]
    assert lines[3] == (
        "001  AX       V     C        00:00:00:13 00:00:00:14 01:00:00:13 01:00:00:14"
    )
    assert lines[5] == "* LOC: 01:00:00:13 RED     HIT 1 1.00"
    assert lines[9].split()[-4:] == [
        "01:01:01:01",
        "01:01:01:02",
        "02:01:01:01",
        "02:01:01:02",
    ]
    # Frame 30 of 29.97 a second is a second in the code, and a little more on the clock.
    ntsc = cues.to_edl([Cue(30 * 1001 / 30000)], 30000 / 1001, "a")
    assert " 00:00:01:00 " in ntsc
    with pytest.raises(
        ValueError, match="1000 events, a CMX 3600 list has room for 999"
    ):
        cues.to_edl(1000 * THREE[:1], 25.0, "a")


def test_srt():
    text = cues.to_srt(THREE)
    assert text.split("\n\n")[0] == "1\n00:00:00,520 --> 00:00:00,600\n1 (1.00)"
    assert "01:01:01,040 --> 01:01:01,240" in text


def test_midi_reads_back():
    data = cues.to_midi(THREE)
    assert struct.unpack(">4sIHHH", data[:14]) == (b"MThd", 6, 0, 1, 480)
    name, length = struct.unpack(">4sI", data[14:22])
    track = data[22:]
    assert (name, length) == (b"MTrk", len(track))
    assert track[:7] == b"\x00\xff\x51\x03" + (500_000).to_bytes(3, "big")
    place, now, notes = 7, 0, []
    while True:
        step = 0
        while True:
            byte = track[place]
            place += 1
            step = step << 7 | byte & 0x7F
            if byte < 0x80:
                break
        now += step
        if track[place] == 0xFF:
            break
        if track[place] == 0x99:
            notes.append((now / 960, track[place + 1], track[place + 2]))
        place += 3
    assert track[place:] == b"\xff\x2f\x00"
    assert [velocity for *_, velocity in notes] == [127, 64, 1]
    np.testing.assert_allclose(
        [t for t, *_ in notes], [c.time_s for c in THREE], atol=6e-4
    )


def test_a_track_is_the_sum_of_its_sounds():
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.4, 0.4, 700)
    # Across the border of blocks, over each other, and past the end.
    marked = [Cue(0.2, 1.0), Cue(0.98, 0.5), Cue(1.0, 1.0), Cue(2.35, 0.7)]
    rate = 1000
    found = np.concatenate(list(dub.blocks(marked, 2.4, sound, rate)))
    wanted = np.zeros(4000)
    for cue in marked:
        start = round(cue.time_s * rate)
        wanted[start : start + len(sound)] += cue.strength * sound
    np.testing.assert_allclose(found, np.clip(wanted[:2400], -1, 1), atol=1e-6)


def test_wav(tmp_path):
    sound = dub.read_sound(dub.CLICK)
    assert np.abs(sound).max() == pytest.approx(0.9)
    dub.write_dub(tmp_path / "dub.wav", [Cue(0.5, 0.5)], 1.25, sound)
    with wave.open(str(tmp_path / "dub.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (44100, 55125)
        samples = np.frombuffer(file.readframes(-1), "<i2") / 32767
    assert not samples[:22049].any()
    assert np.abs(samples).max() == pytest.approx(0.45, abs=1e-3)
    # A file's own sound begins where it is first heard.
    again = dub.read_sound(str(tmp_path / "dub.wav"))
    assert np.abs(again).max() == pytest.approx(0.9)
    assert np.argmax(np.abs(again)) < 400
    dub.write_dub(tmp_path / "silent.wav", [], 0.5, sound)
    with pytest.raises(ValueError, match=r"silent.wav: is silent"):
        dub.read_sound(str(tmp_path / "silent.wav"))
