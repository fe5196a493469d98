"""Training the skimming policy, on scenes of which everything is known."""

import dataclasses
import json

import numpy as np

from benchmarks import skim_policy
from benchmarks.skim import BUDGETS
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


def test_rules_that_count_worse_are_left_and_parts_are_counted_once(tmp_path):
    odds = np.full(10 * LENGTH_S, -4.0)
    for first, end in SETS:
        odds[int(first) : int(end)] = 1.0
    # More is believed in where nothing is, and nothing is heard.
    for first in range(200, 1400, 100):
        odds[first : first + 6] = 2.0
    one, model = scene(tmp_path, odds)
    # It looks at all of these.
    deaf = dataclasses.replace(policy.TRAINED, worth=0.9)
    before = [skim_policy.loss(one, one.policy(deaf, part)) for part in BUDGETS]
    found = skim_policy.search([one], deaf)
    asked = len(model.asked) + len(model.listened)
    after = [skim_policy.loss(one, one.policy(found, part)) for part in BUDGETS]
    assert np.sum(after) < np.sum(before) and found != deaf
    assert before[0][0] == 1 and after[0][0] < 0.05
    assert 0 < after[0][1] < skim_policy.PRICE
    # It was kept, and is read again.
    kept = json.loads((tmp_path / "parts.json").read_text())
    assert len(kept) == asked
    again, model = scene(tmp_path, odds)
    assert skim_policy.search([again], deaf) == found
    assert not model.asked and not model.listened
    # Of what is believed in less is missed by rules that find more.
    assert skim_policy.missed([again], found) < skim_policy.missed([again], deaf)
