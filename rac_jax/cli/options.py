"""The flags that choose a model, and those that its family makes of its own options."""

import argparse
from collections.abc import Sequence
from typing import Any

from rac_jax.counting.options import OptionField, make_options, option_fields
from rac_jax.weights import DEFAULT_MODEL

AUTO = "auto"  # None, for options that may be it
LEAD = "option_"  # before an option's name in the parsed arguments


def add_model_arguments(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    default: str = DEFAULT_MODEL,
) -> None:
    """Adds `--model`, and the flags of the model that the command line names.

    Args:
      parser: of a command.
      argv: what follows the command's name.
      default: the model where none is named.

    Raises:
      ModelError: if there is no such model, or it is of a family that does not count.
    """
    from rac_jax.models.loading import read_family

    parser.add_argument(
        "--model",
        default=default,
        metavar="NAME|DIR",
        help="a model that ships with the package, or a model folder (default: %(default)s)",
    )
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--model", nargs="?", default=default)
    model = early.parse_known_args(list(argv))[0].model or default
    family, config = read_family(model)
    fields = option_fields(family.Options)
    group = parser.add_argument_group(
        f"options of {config['name']}",
        None if fields else "none",
    )
    for field in fields:
        _add(group, field)
    parser.set_defaults(family=family, config=config)


def flag(field: OptionField) -> str:
    """The flag of an option: `--max-stride`, or `--no-sound` for what is on by default."""
    lead = "--no-" if field.type is bool and field.default else "--"
    return lead + field.name.replace("_", "-")


def _add(group: argparse._ArgumentGroup, field: OptionField) -> None:
    dest = LEAD + field.name
    if field.type is bool:
        group.add_argument(
            flag(field),
            dest=dest,
            action="store_const",
            const=not field.default,
            default=argparse.SUPPRESS,
            help=field.help,
        )
        return

    def parse(text: str) -> Any:
        if text == AUTO and field.optional:
            return None
        try:
            return field.check(field.type(text))
        except ValueError as error:
            reason = str(error).removeprefix(f"{field.name}: ")
            if "invalid literal" in reason or "could not convert" in reason:
                kind = "whole number" if field.type is int else "number"
                reason = f"{text!r} is no {kind}"
            raise argparse.ArgumentTypeError(reason) from None

    if field.choices:
        shown = "|".join(map(str, field.choices))
    else:
        shown = {int: "N", float: "X", str: "TEXT"}[field.type]
    group.add_argument(
        flag(field),
        dest=dest,
        type=parse,
        default=argparse.SUPPRESS,
        metavar=f"{AUTO}|{shown}" if field.optional else shown,
        help=field.help,
    )


def counting_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `Counter.count` that the command line gives.

    Raises:
      ValueError: for values that exclude each other.
    """
    values = {
        name.removeprefix(LEAD): value
        for name, value in vars(args).items()
        if name.startswith(LEAD)
    }
    make_options(args.family.Options, values, args.config["name"])
    return values


def refusal(args: argparse.Namespace, unknown: Sequence[str]) -> str | None:
    """Why a flag that only other families have is refused; None if no family has it.

    Args:
      args: what was understood.
      unknown: what was not.
    """
    from rac_jax.counting.family import Family
    from rac_jax.models import FamilyError, family_names, find_family

    def flags(family) -> list[str]:
        # What does not count has no options of counting.
        if not isinstance(family, Family):
            return []
        return [flag(field) for field in option_fields(family.Options)]

    others: set[str] = set()
    for name in family_names():
        try:
            others.update(flags(find_family(name)))
        except FamilyError:
            # A broken package of somebody else's is no reason to fail here.
            continue
    for word in unknown:
        name = word.partition("=")[0]
        if name in others:
            known = ", ".join(flags(args.family)) or "none"
            return f"{name}: is no option of {args.config['name']} (it has: {known})"
    return None
