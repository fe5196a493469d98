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
