"""Training the skimming policy, on scenes of which everything is known."""

import dataclasses
import json

import numpy as np

from benchmarks import skim_policy
from benchmarks.skim_scenes import Truth
from rac_jax.counting.skim import policy
from tests.counting.test_skim import LENGTH_S, SETS, made
from tests.counting.test_skimmer import Known


def scene(tmp_path, odds):
    """A scene in which something is believed where `odds` says."""
    model = Known(probability=0.9, hears=1.0, heard_probability=0.9)

    def count(start_s, end_s, sight=True, sound=True):
        return model.part(start_s, end_s, sight)

    parts = skim_policy.Known(count, tmp_path / "parts.json")

    def hear(start_s, end_s):
        return parts(start_s, end_s, sight=False)

    seen = dataclasses.replace(made(odds), heard_odds=odds.astype(np.float32))
    return skim_policy.Long(seen, Truth(30.0, SETS), parts, parts, hear), model


def test_rules_that_find_nothing_are_left_and_parts_are_counted_once(tmp_path):
    odds = np.full(LENGTH_S, -4.0)
    for first, end in SETS:
        odds[int(first) : int(end)] = 1.0
    one, model = scene(tmp_path, odds)
    beliefs = policy.believe(one.seen)
    blind = dataclasses.replace(policy.TRAINED, first=0.9, worth=0.9, second=0.9)
    assert skim_policy.loss(one, beliefs, blind, 0.4) == (1.0, 0.0)
    found = skim_policy.search([one], blind)
    asked = len(model.asked) + len(model.listened)
    error, price = skim_policy.loss(one, beliefs, found, 0.4)
    assert found.worth < 0.1 and error < 0.05
    assert 0 < price < skim_policy.PRICE
    # It was kept, and is read again.
    kept = json.loads((tmp_path / "parts.json").read_text())
    assert len(kept) == asked
    again, model = scene(tmp_path, odds)
    assert skim_policy.search([again], blind) == found
    assert not model.asked and not model.listened
