"""The project as a whole: what it ships, and what must not be in it."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LARGEST = 16 * 2**20  # bytes of one tracked file

# Folders under which a machine's own files lie; a path into one of them runs nowhere else.
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|root|Users|work|tmp|mnt)/\w")


def _tracked() -> list[pathlib.Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [
        ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()
    ]


def test_no_paths_of_one_machine():
    found = []
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights, media
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found


def test_no_large_files():
    sizes = {p.relative_to(ROOT): p.stat().st_size for p in _tracked()}
    assert not {p: n for p, n in sizes.items() if n > LARGEST}


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_documents_are_there(name):
    assert (ROOT / name).stat().st_size > 500


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700


def test_licence_is_apache():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_version_is_in_the_changelog():
    from rac_jax import __version__

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", changelog, re.MULTILINE)


def test_extras():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for extra in ("test", "bench", "colab"):
        assert f'"{extra}": [' in setup


def test_ci_runs_the_readmes_commands():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'pip" install' in ci and "-e '.[test]'" in ci
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(
        r"^    pip install -e '.\[test\]' && (pytest.*)$", readme, re.MULTILINE
    )
    assert re.search(f"^{command[1]} ", ci, re.MULTILINE)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
