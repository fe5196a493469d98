"""What stages leave is whole, and what is wrong with it is said in one line."""

import numpy as np
import pytest

from rac_jax.train import stage_files
from rac_jax.train.stage_files import StageFileError


def test_json_carries_its_schema(tmp_path):
    path = tmp_path / "deep" / "record.json"
    stage_files.write_json(path, {"videos": {"a": 1.5}})
    found = stage_files.read_json(path, "videos")
    assert found == {"schema": stage_files.SCHEMA, "videos": {"a": 1.5}}
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "record.json: No such file"),
        ("{", "record.json: not valid JSON"),
        ("[]", "record.json: is not of schema 1"),
        ('{"schema": 9}', "record.json: is not of schema 1"),
        ('{"schema": 1}', "record.json: lacks 'videos'"),
    ],
)
def test_broken_records_are_named(tmp_path, text, message):
    path = tmp_path / "record.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StageFileError, match=message):
        stage_files.read_json(path, "videos")


def test_variables_survive(tmp_path):
    path = tmp_path / "variables.safetensors"
    variables = {"params": {"a": {"kernel": np.ones((2, 3), np.float32)}}}
    stage_files.save_variables(path, variables)
    found = stage_files.load_variables(path)
    np.testing.assert_array_equal(found["params"]["a"]["kernel"], np.ones((2, 3)))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(StageFileError, match="variables.safetensors: cannot be read"):
        stage_files.load_variables(path)
