"""What one stage makes of what another left."""

import types

import numpy as np
import pytest

from rac_jax.models.sight_sound import evaluation
from rac_jax.models.sight_sound import recipe as sight_sound
from rac_jax.train import stage_files, stages


def test_predictions_move_to_the_strides_that_the_ranker_chooses(tmp_path, monkeypatch):
    stage_files.write_json(
        tmp_path / "sight" / stage_files.PREDICTIONS,
        {"strides": [1, 2, 4], "videos": {"a": [9.0, 8.0, 5.0], "b": [2.0, 6.0, 7.0]}},
    )
    run = types.SimpleNamespace(
        workdir=tmp_path,
        counter=None,
        strides=(1, 2, 4),
        source=lambda split: None,
        facts=lambda split: None,
        model=types.SimpleNamespace(use_sight_only_ranker=True),
    )
    clips = types.SimpleNamespace(chosen=np.array([2, 1]))  # strides 4 and 2
    monkeypatch.setattr(evaluation, "count_clips", lambda *arguments: clips)
    positive, sight = {"a": 2, "b": 2}, {"a": 7.0, "b": 6.5}
    strides, moved = sight_sound._at_rankers_strides(run, {}, positive, sight)
    # a: 7 + (5 - 8); b stays where it is.
    assert strides == {"a": 4, "b": 2} and moved == {"a": 4.0, "b": 6.5}
    _, moved = sight_sound._at_rankers_strides(run, {}, positive, {"a": 2.0, "b": 1.0})
    assert moved["a"] == 0.0  # no count is below zero


def test_a_stage_of_other_settings_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "identity", lambda config, stage: {"seed": 1})
    run = types.SimpleNamespace(workdir=tmp_path, config=None)
    assert not stages.is_finished(run, "sight")
    path = tmp_path / "sight" / stage_files.FINISHED
    stage_files.write_json(path, {"identity": {"seed": 1}})
    assert stages.is_finished(run, "sight")
    stage_files.write_json(path, {"identity": {"seed": 0}})
    with pytest.raises(stage_files.StageFileError, match="seed = 0, this run has 1"):
        stages.is_finished(run, "sight")


def test_a_siblings_stage_is_taken_over_only_if_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "identity", lambda config, stage: {"seed": config})
    for name, seed in (("one", 1), ("two", 2)):
        folder = tmp_path / name / "sight"
        stage_files.write_json(
            folder / stage_files.FINISHED, {"identity": {"seed": seed}}
        )
        (folder / "left").write_text(name)
    run = types.SimpleNamespace(workdir=tmp_path / "three", config=2)
    stages.adopt_sibling(run, "sight")
    assert (tmp_path / "three" / "sight" / "left").read_text() == "two"
    other = types.SimpleNamespace(workdir=tmp_path / "four", config=3)
    stages.adopt_sibling(other, "sight")
    assert not (tmp_path / "four").exists()
