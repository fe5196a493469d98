"""Who imports whom, and what starts fast: the table of rooms, held by parsing every file."""

import ast
import pathlib
import re

import pytest

from tests import own_process

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = "rac_jax"

# Which rooms of the package a room may import from; these are open to all: "version" is a
# constant, "drafts" renames files into place, "shipped" finds configs and the sample. "weights"
# holds the shipped models' folder and the name of the default one.
OPEN = {"version", "__version__", "drafts", "shipped"}
MAY_IMPORT = {
    "ops": set(),
    "interop": set(),
    "media": set(),
    "encoders": {"ops", "interop"},
    "scenes": {"ops"},
    "data": {"media"},
    "counting": {"media", "ops"},
    "train": {"data", "scenes", "counting", "media", "ops"},
    "models": {
        "counting",
        "data",
        "encoders",
        "interop",
        "media",
        "ops",
        "scenes",
        "train",
        "weights",
    },
    "view": {"counting", "media"},
    "weights": set(),
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
# A result shows itself: `plot`, `annotate` and `_repr_html_` ask for the room above when they
# are called.
EXCEPTIONS = {("counting/result.py", "view")}

FAMILIES = sorted(
    path.name for path in (ROOT / PACKAGE / "models").iterdir() if path.is_dir()
)
# What a family may use of another because its paper builds on the other's: public modules alone.
BUILDS_ON = {
    "lmrl": {"transrac": ("", "layers", "losses", "network", "recipe")},
    "phase_flow": {"sien": ("", "estimator", "network", "phases")},
    "skeleton_phases": {"sien": ("estimator", "losses", "phases", "recipe")},
    "ta2net": {
        "repnet": ("network",),
        "transrac": ("", "conversion", "layers", "losses", "network", "recipe"),
    },
    "transrac": {"repnet": ("network", "panel")},
}
# Rooms that know no family. A stride and a head are words of convolutions, so `ops` and
# `encoders` are not read for concepts.
SHARED = ("counting", "train", "view", "data", "media", "cli", "scenes", "interop")
CONCEPTS = re.compile(
    r"\b(?:rankers?|solo_\w+|stride_scores?|reliability|gamma|fusion|fused?"
    r"|temporal_stride|max_stride|protocols?)\b"
)

# What a room must do without, by top-level name.
DEVICE = {"jax", "jaxlib", "flax", "optax", "orbax", "chex"}
FORBIDDEN = {
    "ops": {"av", "optax", "orbax", "grain"},
    "encoders": {"av", "optax", "orbax", "grain", "logging", "ml_collections"},
    "interop": DEVICE,
    "media": DEVICE,
    "scenes": {"av", "optax", "orbax", "grain"},
    "data": DEVICE,  # worker processes never start a device
}


def _files(folder: str) -> list[pathlib.Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: pathlib.Path):
    """Yields (dotted name, line, whether it is inside a function) for every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    lazy = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, node in lazy
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join([*parts, *filter(None, [base])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno, node in lazy


def _where(path: pathlib.Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_room_has_a_rule():
    rooms = {
        p.name for p in (ROOT / PACKAGE).iterdir() if p.is_dir() and any(p.glob("*.py"))
    }
    assert rooms <= set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_they_may(room):
    wrong = []
    for path in _files(f"{PACKAGE}/{room}"):
        for name, line, _ in _imports(path):
            parts = name.split(".")
            if parts[0] != PACKAGE or len(parts) < 2:
                continue
            place = path.relative_to(ROOT / PACKAGE).as_posix()
            if (place, parts[1]) in EXCEPTIONS:
                continue
            if parts[1] not in {room} | OPEN | MAY_IMPORT[room]:
                wrong.append(f"{_where(path, line)} imports {name}")
    assert not wrong


def test_a_family_knows_no_other_familys_insides():
    wrong = []
    for family in FAMILIES:
        for path in _files(f"{PACKAGE}/models/{family}"):
            for name, line, _ in _imports(path):
                parts = name.split(".")
                if parts[:2] != [PACKAGE, "models"] or len(parts) < 4:
                    continue
                other = parts[2]
                public = BUILDS_ON.get(family, {}).get(other, ())
                if parts[3] in public or ("" in public and parts[3][0].isupper()):
                    continue
                if other in FAMILIES and other != family:
                    wrong.append(f"{_where(path, line)} imports {name}")
    assert not wrong


def test_shared_code_imports_no_family():
    wrong = [
        f"{_where(path, line)} imports {name}"
        for room in (*SHARED, "ops", "encoders")
        for path in _files(f"{PACKAGE}/{room}")
        for name, line, _ in _imports(path)
        if name.startswith(f"{PACKAGE}.models.") and name.split(".")[2] in FAMILIES
    ]
    assert not wrong


def _named_in(path: pathlib.Path) -> list[str]:
    """Lines of code, strings and comments that name a family or a family's concept."""
    families = re.compile(rf"\b(?:{'|'.join(FAMILIES)}|sight[-_]sound\w*)\b")
    return [
        f"{_where(path, number)}: {line.strip()}"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (families.search(line) or CONCEPTS.search(line))
        # URLs have a protocol, and so has the typing module.
        and not re.search(r"protocol_whitelist|Protocol", line)
    ]


def test_shared_code_names_no_family():
    """But for one table, `models/__init__.py`, and the name of the default model."""
    places = [
        place
        for room in SHARED
        for path in _files(f"{PACKAGE}/{room}")
        for place in _named_in(path)
    ]
    assert not places


def test_the_package_itself_imports_no_room():
    """Its public names are resolved on first use."""
    for path in (ROOT / PACKAGE).glob("*.py"):
        ours = {name for name, _, _ in _imports(path) if name.startswith(PACKAGE)}
        assert ours <= {f"{PACKAGE}.version.__version__"}, path.name


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_do_without(room):
    wrong = [
        f"{_where(path, line)} imports {name}"
        for path in _files(f"{PACKAGE}/{room}")
        for name, line, _ in _imports(path)
        if name.split(".")[0] in FORBIDDEN[room]
    ]
    assert not wrong


def test_torch_stays_in_interop_and_is_imported_late():
    wrong = []
    for path in _files(PACKAGE):
        in_interop = path.is_relative_to(ROOT / PACKAGE / "interop")
        for name, line, lazy in _imports(path):
            is_torch = name.split(".")[0] in {"torch", "torchvision"}
            if is_torch and not (in_interop and lazy):
                wrong.append(f"{_where(path, line)} imports {name}")
    assert not wrong


def test_configs_and_the_package_do_not_depend_on_other_folders():
    for path in _files("configs"):
        assert not [n for n, _, _ in _imports(path) if n.split(".")[0] == PACKAGE], path
    outside = {"benchmarks", "configs", "tests"}
    bench = ROOT / PACKAGE / "cli" / "bench.py"  # asks for a clone, when it is run
    for path in _files(PACKAGE):
        found = [
            name
            for name, _, lazy in _imports(path)
            if name.split(".")[0] in outside and not (lazy and path == bench)
        ]
        assert not found, path


def test_no_file_is_longer_than_500_lines():
    tops = (PACKAGE, "benchmarks", "configs", "tests")
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for top in tops
        for path in _files(top)
    }
    assert not {path: n for path, n in lengths.items() if n > 500}


def _seconds_and_modules(code: str) -> tuple[float, set[str]]:
    """Runs code in a fresh interpreter: seconds it takes there, modules loaded after it."""
    program = (
        "import sys, time\n"
        "began = time.perf_counter()\n"
        f"{code}\n"
        "seconds = time.perf_counter() - began\n"
        "print(seconds, *sorted(m for m in sys.modules if '.' not in m))"
    )
    seconds, *modules = own_process.output(program).splitlines()[-1].split()
    return float(seconds), set(modules)


def test_importing_the_package_is_light():
    runs = [_seconds_and_modules(f"import {PACKAGE}") for _ in range(3)]
    print(f"import {PACKAGE}: {min(s for s, _ in runs):.3f} s")
    assert not runs[0][1] & {"jax", "av", "flax", "numpy", "matplotlib", "torch"}
    assert min(s for s, _ in runs) < 0.3


def test_a_file_can_be_read_before_jax_is_imported():
    code = "from rac_jax.counting import model_config, source; source.FileSource"
    assert not _seconds_and_modules(code)[1] & {"jax", "flax"}


@pytest.mark.parametrize("arguments", [["--help"], ["count", "--help"]])
def test_help_is_light(arguments):
    code = (
        "from rac_jax.cli import main\n"
        "try:\n"
        f"    main.main({arguments!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code"
    )
    runs = [_seconds_and_modules(code) for _ in range(3)]
    print(f"rac {' '.join(arguments)}: {min(s for s, _ in runs):.3f} s")
    assert not runs[0][1] & {"jax", "av", "flax", "matplotlib", "torch"}
    assert min(s for s, _ in runs) < 0.5
