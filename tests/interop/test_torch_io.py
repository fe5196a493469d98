"""PyTorch files: read as tensors alone, written whole or not at all."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from rac_jax.interop import torch_io


def test_there_and_back(tmp_path):
    content = {"model": {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((), int)}}
    (path,) = torch_io.write_checkpoints(tmp_path / "new", {"a.pt": content})
    state = torch_io.state_dict(path, torch_io.read_checkpoint(path), ("x", "model"))
    np.testing.assert_array_equal(state["a"], content["model"]["a"])
    assert state["a"].dtype == np.float32
    assert state["b"].dtype == np.int64


def test_a_lead_of_all_names_or_of_none(tmp_path):
    state = {"module.a": torch.ones(1), "module.b": torch.ones(1)}
    assert set(torch_io.state_dict("x.pt", state, (None,))) == {"a", "b"}
    with pytest.raises(torch_io.ConversionError, match="both with and without"):
        torch_io.state_dict("x.pt", state | {"a": torch.ones(1)}, (None,))


def test_missing_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(torch_io.ConversionError, match="pip install"):
        torch_io.read_checkpoint(tmp_path / "x.pt")


def test_nothing_is_left_half_written(tmp_path, monkeypatch):
    def fail(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(torch_io.ConversionError, match="No space left"):
        torch_io.write_checkpoints(tmp_path / "out", {"a.pt": {"x": np.ones(2)}})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:.*quantiz", "ignore:.*Typed")
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: torch.ones(4, 4).to_sparse(), r"sparse \(torch.sparse_coo\)"),
        (lambda: torch.ones(4, device="meta"), r"without values \(device meta\)"),
        (
            lambda: torch.ones(1).expand(1 << 34),
            r"expanded to \[17179869184\] from less",
        ),
        (lambda: torch.ones(2, dtype=torch.complex64), "complex"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
            "quantised",
        ),
    ],
)
def test_tensors_that_are_refused_before_they_are_made(tmp_path, make, kind):
    torch.save({"w": make()}, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").stat().st_size < 10_000
    with pytest.raises(
        torch_io.ConversionError, match=f"a.pt: (w is {kind}, not a plain tensor|not a)"
    ):
        checkpoint = torch_io.read_checkpoint(tmp_path / "a.pt")
        torch_io.state_dict(tmp_path / "a.pt", checkpoint, (None,))


def test_views_of_a_whole_storage_are_read(tmp_path):
    torch.save({"w": torch.arange(6.0).reshape(2, 3).T}, tmp_path / "a.pt")
    checkpoint = torch_io.read_checkpoint(tmp_path / "a.pt")
    state = torch_io.state_dict(tmp_path / "a.pt", checkpoint, (None,))
    assert state["w"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    "data",
    [b"\x80\x02.", b"\x80\x02X\x00"],
    ids=["nothing on the stack", "a length cut short"],
)
def test_a_damaged_pickle_is_one_line(tmp_path, data):
    path = tmp_path / "old.pt"
    path.write_bytes(data)
    with pytest.raises(torch_io.ConversionError) as failure:
        torch_io.read_checkpoint(path)
    assert str(failure.value).startswith(f"{path}: not a readable PyTorch checkpoint")
