"""Metrics of segmentation by hand, and the baseline that paper 2's numbers equal."""

import csv
import pathlib

import numpy as np
import pytest

from rac_jax.counting import localisation

OFFICIAL = pathlib.Path(__file__).parents[3] / "shared" / "annotations"


def frames(text):
    return np.array([one == "1" for one in text])


def scored(predicted, truth):
    return localisation.scores(
        np.array([localisation.statistics(frames(predicted), frames(truth))])
    )


def test_by_hand():
    assert localisation.segments(frames("0011101")) == [
        (False, 0, 2),
        (True, 2, 5),
        (False, 5, 6),
        (True, 6, 7),
    ]
    # Half of the frames; of the three true segments only the middle one is found, all of it.
    found = scored("1111", "0110")
    assert found["accuracy"] == 0.5
    assert found["edit"] == pytest.approx(1 - 2 / 3)
    # Its overlap is a half: right at .1, .25 and .5; two are missed.
    for name in ("f1@10", "f1@25", "f1@50"):
        assert found[name] == pytest.approx(2 / (2 + 0 + 2))
    assert set(scored("0110", "0110").values()) == {1.0}
    # Of two that find the same segment one is right.
    twice = scored("1101", "1111")
    assert twice["f1@10"] == pytest.approx(2 / (2 + 2 + 0))
    assert twice["f1@50"] == pytest.approx(2 / (2 + 2 + 0))


def test_videos_are_added_up():
    rows = [
        localisation.statistics(frames(a), frames(b))
        for a, b in (("1111", "0110"), ("11", "11"))
    ]
    assert len(rows[0]) == localisation.LENGTH
    found = localisation.scores(np.array(rows))
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["edit"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["f1@50"] == pytest.approx(4 / (4 + 2))
    with pytest.raises(ValueError, match="1 predicted frames, 2 true ones"):
        localisation.statistics(frames("1"), frames("11"))


def test_everything_is_foreground_on_the_official_test_set():
    """64 frames of each video as TransRAC's tools pick them: paper 2 has 77.9, 34.4, 37.9 ..."""
    path = OFFICIAL / "repcount_a_test.csv"
    if not path.is_file():
        pytest.skip("the official files are not at hand")
    rows = []
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known = [float(v) for k, v in row.items() if k.startswith("L") and v]
            if not known:
                continue
            total = float(row["num_frames"])
            picked = np.arange(1, 65) * total // 64 - 1
            truth = localisation.inside_cycles(np.reshape(known, (-1, 2)), picked)
            rows.append(localisation.statistics(np.ones_like(truth), truth))
    found = {
        k: round(100 * v, 1) for k, v in localisation.scores(np.array(rows)).items()
    }
    wanted = {
        "accuracy": 77.5,
        "edit": 29.0,
        "f1@10": 37.0,
        "f1@25": 34.0,
        "f1@50": 27.8,
    }
    assert found == wanted
