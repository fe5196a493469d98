"""A family's options of counting: one frozen dataclass, from which flags and checks are made."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

HELP, CHOICES, LEAST = "help", "choices", "least"


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a family that has none."""


def option(
    default: Any,
    help: str,  # as argparse calls it
    *,
    choices: tuple[Any, ...] | None = None,
    least: float | None = None,
) -> Any:
    """A field of a dataclass of options.

    The field's type must be bool, int, float or str, or one of these or None. A bool that is
    True by default becomes the flag `--no-name`.

    Args:
      default: of the field.
      help: a line for the command line's help; of a bool, what its flag does.
      choices: allowed values; None is allowed beside them where the type says so.
      least: lowest number allowed.

    Returns:
      What stands after the `=`.
    """
    known = {HELP: help, CHOICES: choices, LEAST: least}
    return dataclasses.field(default=default, metadata=known)


@dataclasses.dataclass(frozen=True)
class OptionField:
    """What is known of one option.

    Attributes:
      name: of the field.
      type: bool, int, float or str.
      optional: whether None is a value.
      default, help, choices, least: as in `option`.
    """

    name: str
    type: type
    optional: bool
    default: Any
    help: str
    choices: tuple[Any, ...] | None
    least: float | None

    def check(self, value: Any) -> Any:
        """The value, a whole float as an int where the type asks for it.

        Raises:
          ValueError: for another type or a value out of range, naming the option.
        """
        if value is None and self.optional:
            return None
        if self.type is float and type(value) is int:
            value = float(value)
        if type(value) is not self.type:
            wanted = self.type.__name__ + (" or None" if self.optional else "")
            raise ValueError(f"{self.name}: must be {wanted}, not {value!r}")
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise ValueError(f"{self.name}: {value!r} is not one of {known}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{self.name}: must be finite, not {value}")
        if self.least is not None and value < self.least:
            raise ValueError(f"{self.name}: must be at least {self.least}, not {value}")
        return value


def option_fields(kind: type) -> list[OptionField]:
    """The options of a dataclass, in order."""
    types_of, found = get_type_hints(kind), []
    for field in dataclasses.fields(kind):
        wanted = types_of[field.name]
        optional = typing.get_origin(wanted) in (typing.Union, types.UnionType)
        if optional:
            (wanted,) = (one for one in get_args(wanted) if one is not types.NoneType)
        known = field.metadata
        found.append(
            OptionField(
                name=field.name,
                type=wanted,
                optional=optional,
                default=field.default,
                help=known.get(HELP, ""),
                choices=known.get(CHOICES),
                least=known.get(LEAST),
            )
        )
    return found


def make_options(kind: type, values: Mapping[str, Any], owner: str) -> Any:
    """Options from values by name, checked.

    Args:
      kind: the family's dataclass.
      values: of some of its fields.
      owner: name of the model, for messages.

    Returns:
      An instance of `kind`.

    Raises:
      ValueError: for a name that the family does not have, or a value out of range; also what
        the dataclass itself raises in `__post_init__`.
    """
    fields = {field.name: field for field in option_fields(kind)}
    for name in values:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise ValueError(f"{name}: is no option of {owner} (it has: {known})")
    return kind(**{name: fields[name].check(value) for name, value in values.items()})


def chosen(options: Any, name: str, config: Mapping[str, Any]) -> Any:
    """An option that a model has a say in, of those with choices.

    Args:
      options: an instance of a dataclass of options, whose None leaves it to the model.
      name: of the option, and of the field of a model's config.
      config: the model's.

    Returns:
      What was asked for, else what the model says, else the first choice.

    Raises:
      ValueError: if the model says something that is none of the choices.
    """
    (field,) = (one for one in option_fields(type(options)) if one.name == name)
    asked = getattr(options, name)
    return field.check(config.get(name, field.choices[0]) if asked is None else asked)
