"""`rac train`: trains a family's model from a config, stage by stage, and exports it."""

import difflib
import importlib.util
import logging
import os
import pathlib
import sys
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from rac_jax import shipped
from rac_jax.cli import runs
from rac_jax.cli.output import complain
from rac_jax.train import settings

USAGE = """\
usage: rac train --config FILE|NAME[:VARIANT] --workdir DIR [--config.FIELD=VALUE ...]
                 [--sweep NAME] [--num_processes N --process_id I --coordinator HOST:PORT]

Trains a model; run the same command again to go on where it stopped. Every field of the
config can be set on the command line, as in --config.seed=3, and any group of
parameters be taken from a model: --config.start.GROUP=MODEL.
"""
SWEEPS_SUFFIX = "_sweeps"
FIELD = "--config."
START = "start"

LOG = logging.getLogger("rac_jax.train")


def make_flags() -> flags.FlagValues:
    """The flags of the command but for the config's, apart from those of the process."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "config",
        None,
        "the config, FILE or NAME, with :VARIANT behind it",
        flag_values=values,
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
    named = [argument for argument in argv if not argument.startswith(FIELD)]
    values(["rac train", *named])
    if values.config is None:
        return text + "\nWith --config, --help lists its fields."
    fields = _fields(load_config(values.config).to_dict())
    lines = [f"  {FIELD}{name}={value!r}" for name, value in fields.items()]
    return text + f"\nfields of {values.config}:\n" + "\n".join(lines)


def run_file(path: pathlib.Path) -> ModuleType:
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


def load_config(config: str) -> ml_collections.ConfigDict:
    """The config of FILE or FILE:VARIANT; NAME is that of a config that comes with the package.

    Raises:
      OSError, ValueError: if there is none.
    """
    name, _, variant = config.partition(":")
    module = run_file(find_config(name))
    if not hasattr(module, "get_config"):
        raise ValueError(f"{name}: has no get_config()")
    return module.get_config(variant) if variant else module.get_config()


def find_config(name: str) -> pathlib.Path:
    """The file of a config: the one of that path, or one that comes with the package."""
    path = pathlib.Path(name)
    if path.suffix or path.exists():
        return path
    return shipped.find_shipped(shipped.CONFIGS, f"{name}.py") or path


def _fields(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of nested dicts by their dotted names."""
    found = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _fields(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _check_fields(config: ml_collections.ConfigDict, arguments: Sequence[str]) -> None:
    """Checks that a config has the fields that a command line sets.

    `start` gets those that it lacks: which groups of parameters there are is known once the
    model is built.

    Raises:
      ValueError: for a field that there is not, with the one that is most like it.
    """
    known = _fields(config.to_dict())
    for argument in arguments:
        name = argument.partition("=")[0].removeprefix(FIELD)
        section, _, group = name.partition(".")
        if name in known:
            continue
        if section == START and START in config and group.isidentifier():
            config[START][group] = ""
            continue
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {FIELD}{close[0]}?" if close else ""
        raise ValueError(f"{FIELD}{name}: the config has no such field{hint}")


def parse(
    argv: Sequence[str],
) -> tuple[flags.FlagValues, ml_collections.ConfigDict]:
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
        (fields if argument.startswith(FIELD) else own).append(argument)
    rest = values(["rac train", *own])[1:]
    if rest:
        raise flags.Error(f"unexpected argument {rest[0]!r}")
    for name in ("config", "workdir"):
        if values[name].value is None:
            raise flags.Error(f"--{name} is missing")
    config = load_config(values["config"].value)
    _check_fields(config, fields)
    before = _fields(config.to_dict())
    overrides = flags.FlagValues()
    argv = ["rac train", *fields]
    config_flags.DEFINE_config_dict(
        "config", config, flag_values=overrides, sys_argv=argv
    )
    rest = overrides(argv)[1:]
    if rest:
        raise flags.Error(f"{rest[0]!r}: fields are set as {FIELD}FIELD=VALUE")
    changed = overrides["config"].value
    _check_tuples(before, changed)
    return values, changed


def _check_tuples(before: Mapping[str, Any], config: ml_collections.ConfigDict) -> None:
    """Checks that tuples still hold what they held: the types of other fields are kept for us.

    Raises:
      ValueError: naming the field.
    """
    for name, value in _fields(config.to_dict()).items():
        was = before.get(name)
        if not isinstance(was, tuple | list) or not was:
            continue
        # Whole numbers may stand for others, not the other way round.
        kinds = {int: int, float: (int, float), str: str}.get(type(was[0]))
        if kinds is None:
            continue
        wrong = [one for one in value if not isinstance(one, kinds)]
        if wrong or any(isinstance(one, bool) for one in value):
            raise ValueError(
                f"{FIELD}{name}: must hold values of type {type(was[0]).__name__}, as "
                f"{was!r} does, not {value!r}"
            )


def main(argv: Sequence[str]) -> int:
    """Runs the command line.

    Args:
      argv: what follows `rac train`.

    Returns:
      0 when trained, or stopped by SIGTERM with everything saved; 1 if training failed; 2 for
      a wrong command line.
    """
    own_process = "jax" not in sys.modules
    # Help, and what is wrong with the command line, come before anything heavy is imported.
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
    _start_logging(values.verbose)
    try:
        settings.check_config(config)
        _join_processes(values, config.keep_memory and own_process)
        workdir = pathlib.Path(values.workdir)
        if values.sweep:
            _sweep(config, values["config"].value, values.sweep, workdir)
        else:
            _train(config, workdir)
    # Of ours these are one line; of a library's the first line says what happened.
    except (ValueError, OSError, RuntimeError) as error:
        complain(f"train: {str(error).strip().splitlines()[0]}")
        logging.getLogger("rac_jax").debug("where it happened", exc_info=True)
        return 1
    return 0


def _start_logging(verbose: bool) -> None:
    """Writes the log of a run to stderr, and keeps XLA's own out of it unless it is asked for."""
    # Read when jaxlib is loaded. What fails comes as an exception; what is left is talk of slow
    # compiles in XLA's terms.
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    level = logging.DEBUG if verbose else logging.INFO
    logging.getLogger("rac_jax").setLevel(level)
    if verbose:
        return
    # Orbax tells of every save, and of what failed in each of its threads; what it raises in
    # the end is said in one line.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threading.excepthook = lambda failed: LOG.debug(
        "in %s: %s", failed.thread, failed.exc_value
    )


def _join_processes(values: flags.FlagValues, keep_memory: bool) -> None:
    """Joins the other processes of the run if there are any; before a device is used."""
    if values.num_processes is not None:
        from rac_jax.train import hosts

        hosts.start(values.coordinator, values.num_processes, values.process_id)
    elif keep_memory:
        from rac_jax.train import host_memory

        host_memory.keep_freed_memory()


def load_sweeps(config_file: str) -> dict[str, dict]:
    """The sweeps that go with a config: `<name>_sweeps.py` beside it.

    Raises:
      OSError: if there is no such file.
    """
    path = find_config(config_file.partition(":")[0])
    path = path.with_name(path.stem + SWEEPS_SUFFIX + path.suffix)
    module = run_file(path)
    return module.get_sweeps()


def _sweep(
    config: ml_collections.ConfigDict,
    config_file: str,
    name: str,
    workdir: pathlib.Path,
) -> None:
    """Trains every run of a sweep, one after the other, until it is asked to stop."""
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
        if not _train(varied, workdir / run):
            break
    return 0


def in_proportion(
    overrides: dict[str, Any], sweep: dict[str, Any], config: ml_collections.ConfigDict
) -> dict[str, Any]:
    """A run's changes, the "proportional" fields of its sweep fitted to the config's own."""
    changed = dict(overrides)
    for field, stated in sweep.get("proportional", {}).items():
        section, name = field.split(".")
        if field in changed:
            changed[field] *= config[section][name] / stated
    return changed


def _train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> bool:
    """Trains one run and prints its measurement; false if it was asked to stop."""
    import jax

    from rac_jax import counting, models, train

    counting.enable_compilation_cache()
    family = models.find_family(config.family)
    stop = train.StopSignal().listen()
    try:
        trained = train.train(family, config, workdir, stop=stop)
    except train.Stopped as stopped:
        complain(f"{stopped}; run the same command again to go on")
        return False
    if jax.process_index() == 0:
        print(runs.scores_text([trained.report]))
        print(trained.export or workdir)
    return True
