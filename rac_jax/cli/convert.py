"""`rac convert`: PyTorch checkpoints into model folders, and back."""

import argparse

from rac_jax.cli.output import complain

BACKBONES = {
    "s3d-kinetics": "an S3D trained on Kinetics-400, torchvision's or kylemin's",
    "r2plus1d-kinetics": "torchvision's R(2+1)D-18 trained on Kinetics-400",
    "vggsound-resnet18": "a ResNet-18 trained on sound spectrograms, VGGSound's or a plain one",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rac convert`."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    def add(kind: str, summary: str) -> argparse.ArgumentParser:
        return kinds.add_parser(
            kind, help=summary, description=summary[0].upper() + summary[1:] + "."
        )

    release = add("sight-sound-release", "the four files that the authors released")
    for stream, file in (
        ("sight", "visual_checkpoint.pt"),
        ("sound", "audio_checkpoint.pt"),
        ("stride", "sr_checkpoint.pt"),
        ("reliability", "conf_checkpoint.pt"),
    ):
        release.add_argument(f"--{stream}", required=True, metavar="FILE", help=file)
    release.add_argument("--out", required=True, metavar="DIR", help="the model folder")
    for kind, summary in BACKBONES.items():
        backbone = add(kind, summary)
        backbone.add_argument(
            "--weights", required=True, metavar="FILE", help="the checkpoint"
        )
        backbone.add_argument(
            "--out", required=True, metavar="DIR", help="the model folder"
        )
    to_torch = add("to-torch", "a model of ours, as PyTorch checkpoints")
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
    from rac_jax.interop.torch_io import ConversionError
    from rac_jax.models.sight_sound import conversion as convert

    try:
        if args.kind == "to-torch":
            module, variables, _ = weights.load_model(args.model)
            for path in convert.write_torch(args.out, module, variables):
                print(path)
            return 0
        if args.kind == "sight-sound-release":
            config, variables = convert.read_release(
                args.sight, args.sound, args.stride, args.reliability
            )
        else:
            config, variables = convert.read_backbone(args.kind, args.weights)
        print(weights.save_model(args.out, config, variables))
    except (ConversionError, weights.ModelError) as error:
        complain(error)
        return 1
    except OSError as error:
        complain(f"{args.out}: {error.strerror or error}")
        return 1
    return 0
