"""`rac convert`: PyTorch checkpoints into model folders, and back."""

import argparse
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rac_jax import encoders, models
from rac_jax.cli.output import complain
from rac_jax.counting.family import Conversion
from rac_jax.encoders.published import BACKBONES

if TYPE_CHECKING:
    from rac_jax.counting.family import TrainableFamily, Variables

TO_TORCH = "to-torch"


def conversions() -> list[Conversion]:
    """All kinds of checkpoints that can be read: those of the families, then encoders alone.

    A family of another package that cannot be imported is reported and left out.
    """
    found = []
    for name in models.family_names():
        try:
            found += models.find_family(name).conversions()
        except models.FamilyError as error:
            complain(error)
    for kind, backbone in BACKBONES.items():
        read = functools.partial(_read_backbone, kind)
        found.append(Conversion(kind, backbone.summary, _add_weights, read))
    return found


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", required=True, metavar="FILE", help="the checkpoint"
    )


def _read_backbone(
    kind: str, args: argparse.Namespace
) -> tuple[dict[str, Any], "Variables"]:
    from rac_jax.encoders.conversion import read_backbone

    return read_backbone(kind, args.weights)


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac convert`."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    def add(kind: str, summary: str) -> argparse.ArgumentParser:
        return kinds.add_parser(
            kind, help=summary, description=summary[0].upper() + summary[1:] + "."
        )

    for conversion in conversions():
        one = add(conversion.kind, conversion.summary)
        conversion.add_arguments(one)
        one.add_argument("--out", required=True, metavar="DIR", help="the model folder")
        one.set_defaults(read=conversion.read)
    to_torch = add(TO_TORCH, "a model of ours, as PyTorch checkpoints")
    to_torch.add_argument(
        "model", metavar="MODEL", help="a model folder, or the name of a shipped model"
    )
    to_torch.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets the release's four files, or model.pt for models of another form",
    )


def run(args: argparse.Namespace) -> int:
    """Converts.

    Returns:
      0; 1 if a file cannot be read, does not fit or cannot be written.
    """
    from rac_jax.counting import weights
    from rac_jax.interop import torch_io
    from rac_jax.interop.tables import TableError

    try:
        if args.kind == TO_TORCH:
            for path in torch_io.write_checkpoints(args.out, _torch_files(args.model)):
                print(path)
        else:
            config, variables = args.read(args)
            print(weights.save_model(args.out, config, variables))
    except (torch_io.ConversionError, weights.ModelError) as error:
        complain(error)
        return 1
    except TableError as error:
        complain(f"{args.model}: {error}")
        return 1
    except OSError as error:
        complain(f"{args.out}: {error.strerror or error}")
        return 1
    return 0


def _torch_files(model: str) -> dict[str, Any]:
    """What the PyTorch files of a model hold, by their names.

    Raises:
      ModelError: if the model cannot be loaded.
      ConversionError: if its family has no PyTorch form.
      TableError: if an array does not fit.
    """
    from rac_jax.interop.torch_io import ConversionError
    from rac_jax.models import loading

    network, variables, config = loading.load_model(model)
    name = config["family"]
    maker: encoders.Encoder | TrainableFamily
    if name in encoders.ENCODERS:
        maker = encoders.Encoder(name)
    else:
        maker = models.find_family(name)
    files = maker.to_torch(network, variables)
    if files is None:
        raise ConversionError(f"{model}: the family {name} has no PyTorch form")
    return files
