"""The families of models: one folder each, and one line of this table.

Families of other packages are found through the entry-point group `rac_jax.families`: its
name is the family's, its object a `rac_jax.counting.family.Family`, or a `TrainableFamily` if it
does not count. `docs/add_a_family.md` walks through one.
"""

import importlib
import importlib.metadata
import inspect

from rac_jax.counting.family import TrainableFamily

GROUP = "rac_jax.families"

# Name to "module:object"; a module is imported when its family is asked for.
FAMILIES = {
    "baseline": "rac_jax.models.baselines:FAMILY",
    "classifier": "rac_jax.models.classifier:FAMILY",
    "compact": "rac_jax.models.compact:FAMILY",
    "listen_to_look": "rac_jax.models.listen_to_look:FAMILY",
    "lmrl": "rac_jax.models.lmrl:FAMILY",
    "optical_flow": "rac_jax.models.optical_flow:FAMILY",
    "phase_flow": "rac_jax.models.phase_flow:FAMILY",
    "repnet": "rac_jax.models.repnet:FAMILY",
    "sien": "rac_jax.models.sien:FAMILY",
    "sight_sound": "rac_jax.models.sight_sound:FAMILY",
    "skeleton_phases": "rac_jax.models.skeleton_phases:FAMILY",
    "ta2net": "rac_jax.models.ta2net:FAMILY",
    "transrac": "rac_jax.models.transrac:FAMILY",
}


class FamilyError(ValueError):
    """A family that is not known or is none: one line with its name and the reason."""


def family_names() -> list[str]:
    """All families, ours first, then those of other packages."""
    others = {entry.name for entry in importlib.metadata.entry_points(group=GROUP)}
    return [*FAMILIES, *sorted(others - set(FAMILIES))]


def find_family(name: str) -> TrainableFamily:
    """A family by its name.

    Raises:
      FamilyError: if there is none, or it does not keep the contract of `TrainableFamily`.
    """
    if name in FAMILIES:
        module, _, attribute = FAMILIES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name == name:
            return _checked(name, entry)
    known = ", ".join(family_names())
    raise FamilyError(f"unknown model family {name!r}, known: {known}")


def _checked(name: str, entry: importlib.metadata.EntryPoint) -> TrainableFamily:
    """The family behind an entry point of another package."""
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise FamilyError(
            f"family {name!r}: {entry.value} cannot be loaded ({error})"
        ) from error
    if inspect.isclass(found) or not isinstance(found, TrainableFamily):
        raise FamilyError(
            f"family {name!r}: {entry.value} is no instance of "
            "rac_jax.counting.family.Family or TrainableFamily"
        )
    if found.name != name:
        raise FamilyError(f"family {name!r}: {entry.value} calls itself {found.name!r}")
    return found
