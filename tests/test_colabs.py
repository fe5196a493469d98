"""Every notebook runs from top to bottom, on the sample, as a newcomer would run it."""

import pathlib

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "colabs").glob("*.ipynb"))
TIMEOUT_S = 300  # of one cell, on a busy machine


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_whole(path):
    """Badge and forms, and the outputs of one run from top to bottom, without local paths."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {"stream", "display_data", "execute_result"} == {
        output.output_type for output in outputs
    }
    assert str(ROOT) not in path.read_text(encoding="utf-8")
    assert "colab-badge.svg" in notebook.cells[0].source
    assert f"colabs/{path.name}" in notebook.cells[0].source
    assert code[0].source.startswith("# @title Install")


# The kernel's event loop and sockets are closed by other threads, late, as tests see it.
@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    texts, kinds = [], set()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            kinds |= set(output.get("data", {}))
    assert "sample.mp4: 7 repetitions in " in "".join(texts)
    # The result as it shows itself and the annotated video, then a plot of features.
    assert {"image/png", "text/html"} <= kinds
    assert "data:image/png;base64," in str(notebook.cells)
    assert (tmp_path / "counted.mp4").stat().st_size > 10_000
