"""What docs/paper_sight_sound.md names is there, and every requirement has its place and test."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LINES = (ROOT / "docs" / "paper_sight_sound.md").read_text(encoding="utf-8").split("\n")
HEADS = ("| Requirement |", "| Point |", "|---|")
ROWS = [line for line in LINES if line.startswith("|") and not line.startswith(HEADS)]


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def missing(name: str, folders: tuple[pathlib.Path, ...]) -> str:
    """What is not there of "path" or "path::name"; nothing if all is."""
    path, _, symbol = name.partition("::")
    file = next((one / path for one in folders if (one / path).is_file()), None)
    if file is None:
        return path
    defined = rf"^(def|class) {re.escape(symbol)}\b|^{re.escape(symbol)}\b[^=]*="
    if symbol and not re.search(
        defined, file.read_text(encoding="utf-8"), re.MULTILINE
    ):
        return name
    return ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_names_a_place_and_a_test_that_are_there(row):
    requirement, where, test, _ = (cell.strip() for cell in row.split("|")[1:-1])
    assert requirement and named(where) and named(test)
    for name in named(where):
        assert not missing(name, (ROOT / "rac_jax", ROOT))
    for name in named(test):
        assert "::" in name, f"{name} is no single test"
        assert not missing(name, (ROOT / "tests",))


def test_nothing_differs_without_a_reason():
    for row in ROWS:
        note = row.split("|")[-2].strip()
        assert not re.fullmatch(r"(Differs|Open)[.:]?", note), row


def test_both_parts_are_there():
    assert len(ROWS) > 80
    assert sum(line.startswith("## The released code") for line in LINES) == 2


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.py",
        "counting/scores.py::nobody",
        # A call or a mention is no definition.
        "counting/scores.py::percentile",
    ],
)
def test_what_is_not_there_is_found(name):
    assert missing(name, (ROOT / "rac_jax", ROOT))
