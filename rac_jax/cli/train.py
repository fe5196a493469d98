"""`rac train`: trains a system from a config, stage by stage, and exports the model."""

import datetime
import difflib
import importlib.metadata
import importlib.util
import json
import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from rac_jax.cli import runs
from rac_jax.cli.output import complain

USAGE = """\
usage: rac train --config FILE[:VARIANT] --workdir DIR [--config.FIELD=VALUE ...]
                 [--sweep NAME] [--num_processes N --process_id I --coordinator HOST:PORT]

Trains a system; run the same command again to go on where it stopped. Every field of the
config can be set on the command line, as in --config.sight.epochs=3.
"""
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
SWEEPS_SUFFIX = "_sweeps"
EXPORT = "export"


def make_flags() -> flags.FlagValues:
    """The flags of the command but for the config's, apart from those of the process."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "config", None, "the config, FILE or FILE:VARIANT", flag_values=values
    )
    flags.DEFINE_string(
        "workdir", None, "folder of the run: made, or gone on with", flag_values=values
    )
    flags.DEFINE_string(
        "sweep",
        None,
        "runs every variant of a sweep, each in its own folder under the workdir",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes",
        None,
        "processes of the run; -1 finds out everything on TPU pods and SLURM",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "process_id", None, "number of this process", flag_values=values
    )
    flags.DEFINE_string(
        "coordinator", None, "HOST:PORT of process 0", flag_values=values
    )
    flags.DEFINE_bool(
        "verbose", False, "more log, and where an error happened", flag_values=values
    )
    return values


def help_text(argv: Sequence[str] = ()) -> str:
    """Help on the flags, and on the fields of the config if the command line names one."""
    values = make_flags()
    text = USAGE + values.module_help(__name__)
    named = [argument for argument in argv if not argument.startswith("--config.")]
    values(["rac train", *named])
    if values.config is None:
        return text + "\nWith --config, --help lists its fields."
    fields = _flat(load_config(values.config).to_dict(), ".")
    lines = [f"  --config.{name}={value!r}" for name, value in fields.items()]
    return text + f"\nfields of {values.config}:\n" + "\n".join(lines)


def run_file(path: pathlib.Path) -> Any:
    """Runs a Python file and returns its module.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it is not Python.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"{path}:{error.lineno}: {error.msg}") from error
    return module


def load_config(config: str) -> Any:
    """The config of FILE or FILE:VARIANT.

    Raises:
      OSError, ValueError: if there is none.
    """
    name, _, variant = config.partition(":")
    module = run_file(pathlib.Path(name))
    if not hasattr(module, "get_config"):
        raise ValueError(f"{name}: has no get_config()")
    return module.get_config(variant) if variant else module.get_config()


def _check_fields(config: Any, fields: Sequence[str]) -> None:
    known = _flat(config.to_dict(), ".")
    for field in fields:
        name = field.partition("=")[0].removeprefix("--config.")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean --config.{close[0]}?" if close else ""
            raise ValueError(f"--config.{name}: the config has no such field{hint}")


def parse(argv: Sequence[str]) -> tuple[flags.FlagValues, Any]:
    """Reads a command line.

    Args:
      argv: what follows `rac train`.

    Returns:
      The flags, and the config with its fields overridden.

    Raises:
      flags.Error, ValueError, OSError: naming the flag, field or file.
    """
    values = make_flags()
    own, fields = [], []
    for argument in argv:
        (fields if argument.startswith("--config.") else own).append(argument)
    rest = values(["rac train", *own])[1:]
    if rest:
        raise flags.Error(f"unexpected argument {rest[0]!r}")
    for name in ("config", "workdir"):
        if values[name].value is None:
            raise flags.Error(f"--{name} is missing")
    config = load_config(values["config"].value)
    _check_fields(config, fields)
    overrides = flags.FlagValues()
    argv = ["rac train", *fields]
    config_flags.DEFINE_config_dict(
        "config", config, flag_values=overrides, sys_argv=argv
    )
    rest = overrides(argv)[1:]
    if rest:
        raise flags.Error(f"{rest[0]!r}: fields are set as --config.FIELD=VALUE")
    return values, overrides["config"].value


def main(argv: Sequence[str]) -> int:
    """Runs the command line.

    Args:
      argv: what follows `rac train`.

    Returns:
      0 when trained, or stopped by SIGTERM with everything saved; 1 if training failed; 2 for
      a wrong command line.
    """
    own_process = "jax" not in sys.modules
    asks = [argument for argument in argv if argument in ("--help", "-h")]
    if not argv:
        print(help_text(), file=sys.stderr)
        return 2
    try:
        if asks:
            print(help_text([one for one in argv if one not in asks]))
            return 0
        values, config = parse(argv)
    # What a wrong override raises depends on the field's type.
    except (flags.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        complain(f"train: {error}")
        return 2
    except OSError as error:
        complain(f"train: {error.filename}: {error.strerror}")
        return 2
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    level = logging.DEBUG if values.verbose else logging.INFO
    logging.getLogger("rac_jax").setLevel(level)
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of every save
    workdir = pathlib.Path(values.workdir)
    try:
        if values.num_processes is not None:
            from rac_jax.train import hosts

            hosts.start(values.coordinator, values.num_processes, values.process_id)
        elif own_process and config.get("keep_memory", True):
            from rac_jax.train import host_memory

            host_memory.keep_freed_memory()
        if values.sweep:
            return _sweep(config, values["config"].value, values.sweep, workdir)
        return _train(config, workdir)
    # Of ours these are one line; of a library's the first line says what happened.
    except (ValueError, OSError, RuntimeError) as error:
        complain(f"train: {str(error).strip().splitlines()[0]}")
        logging.getLogger("rac_jax").debug("where it happened", exc_info=True)
        return 1


def load_sweeps(config_file: str) -> dict[str, dict]:
    """The sweeps that go with a config: `<name>_sweeps.py` beside it.

    Raises:
      OSError: if there is no such file.
    """
    path = pathlib.Path(config_file.partition(":")[0])
    path = path.with_name(path.stem + SWEEPS_SUFFIX + path.suffix)
    module = run_file(path)
    return module.get_sweeps()


def _sweep(config: Any, config_file: str, name: str, workdir: pathlib.Path) -> int:
    from rac_jax.train import sweep_table

    sweep = sweep_table.find_sweep(load_sweeps(config_file), name)
    sweep_table.check_sweep(sweep)
    workdir.mkdir(parents=True, exist_ok=True)
    runs.write_sweep(workdir, name, sweep)
    for run, overrides in sweep["runs"].items():
        varied = config.copy_and_resolve_references()
        varied.update_from_flattened_dict(in_proportion(overrides, sweep, config))
        varied.share_stages = True
        logging.getLogger("rac_jax.train").info("%s: run %s", name, run)
        code = _train(varied, workdir / run)
        if code or not (workdir / run / "evaluation.json").exists():
            return code
    return 0


def in_proportion(overrides: dict, sweep: dict, config: Any) -> dict:
    """A run's changes, the "proportional" fields of its sweep fitted to the config's own."""
    changed = dict(overrides)
    for field, stated in sweep.get("proportional", {}).items():
        section, name = field.split(".")
        if field in changed:
            changed[field] *= config[section][name] / stated
    return changed


def _train(config: Any, workdir: pathlib.Path) -> int:
    import jax

    from rac_jax import counting
    from rac_jax.counting import weights
    from rac_jax.models import registry
    from rac_jax.train import loop, mesh, recipes, stages
    from rac_jax.train.run import Run, stage_key

    counting.enable_compilation_cache()
    recipe = recipes.find_recipe(config.get("family"))
    model = registry.build_model(
        config.family, **config.model.to_dict(), dtype=compute_type(config.precision)
    )
    run = Run(
        config=config,
        workdir=workdir,
        model=model,
        mesh=mesh.make_mesh(config.mesh.data, config.mesh.fsdp),
        stop=loop.StopSignal().listen(),
    )
    recipe.check(run)
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        _describe(config, workdir)
    variables = registry.init_variables(model, stage_key(config.seed, "init"))
    variables = _started(config.start, variables, weights)
    try:
        variables = stages.run_stages(run, recipe, variables)
    except loop.Stopped as stopped:
        complain(f"{stopped}; run the same command again to go on")
        return 0
    if jax.process_index() == 0:
        report = json.loads((workdir / stages.EVALUATION).read_text("utf-8"))
        folder = _export(run, recipe.describe(run, report), variables, weights)
        print(runs.ways_text([report]))
        print(folder)
    return 0


def compute_type(precision: str) -> str:
    """Compute type of the encoders.

    Raises:
      ValueError: for an unknown precision.
    """
    import jax

    if precision == "auto":
        return "float32" if jax.default_backend() == "cpu" else "bfloat16"
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision: {precision!r} is not auto, float32 or bfloat16")
    return precision


def _started(start: Any, variables: dict, weights) -> dict:
    """Variables from released models where the config names any."""
    if start.model:
        _, variables, _ = weights.load_model(start.model)
    changed = {kind: dict(tree) for kind, tree in variables.items()}
    for group in ("sight_encoder", "sound_encoder"):
        if not start[group]:
            continue
        _, loaded, _ = weights.load_model(start[group])
        for kind, tree in changed.items():
            found = loaded[kind].get(group, loaded[kind])
            shapes = [
                {path: leaf.shape for path, leaf in _flat(one).items()}
                for one in (found, tree[group])
            ]
            if shapes[0] != shapes[1]:
                other = min(set(shapes[0].items()) ^ set(shapes[1].items()))[0]
                raise ValueError(
                    f"start.{group}: {start[group]} does not fit the model at {other}"
                )
            tree[group] = found
    return changed


def _flat(tree: Any, separator: str = "/") -> dict:
    import flax.traverse_util

    return flax.traverse_util.flatten_dict(tree, sep=separator)


def _describe(config: Any, workdir: pathlib.Path) -> None:
    """Saves what the run is made of: config, versions, commit, seed, command, time."""
    import jax

    from rac_jax.train import stage_files

    record = {
        "config": config.to_dict(),
        "seed": config.seed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": sys.version.split()[0], "rac_jax": _version()},
        "commit": commit(),
        "command": ["rac", *sys.argv[1:]],
        "devices": [str(device.device_kind) for device in jax.devices()],
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    stage_files.write_json(workdir / "run.json", record)


def _version() -> str:
    from rac_jax.version import __version__

    return __version__


def commit() -> str | None:
    """The commit of the code that runs, with "+changes" if files differ; None outside of git."""
    here = pathlib.Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    found = git("rev-parse", "HEAD")
    return found and found + (
        "+changes" if git("status", "--porcelain", "-uno") else ""
    )


def _export(
    run: Any, description: dict[str, Any] | None, variables: dict, weights
) -> os.PathLike:
    """Writes the trained model as `rac count --model` reads it."""
    if description is None:
        return run.workdir
    about = json.loads((run.workdir / "run.json").read_text("utf-8"))
    training = {"config": run.config.to_dict(), "seed": run.config.seed}
    training |= {name: about[name] for name in ("commit", "versions")}
    description = description | {"training": training}
    return weights.save_model(run.workdir / EXPORT, description, variables, half=True)
