"""Figures of the code itself: how long it is, and how much of the shared part knows of a family.

    python -m benchmarks.house [FOLDER ...]

For each folder that holds a package `rac_jax` (this one by default; an older revision comes from
`git worktree add FOLDER REVISION`): lines of Python in the package, how many files there are
outside of the families' own folders, and how many of these name a family or a concept of one.
"""

import argparse
import pathlib
import re

# Names of families, and words that only they have a meaning for.
WORDS = ("sight_sound", "compact", "ranker", "protocol", "reliability", "gamma")
# Flax's decorator `nn.compact` is another thing.
NAMED = re.compile(rf"(?<![A-Za-z])(?<!nn\.)({'|'.join(WORDS)})(?![A-Za-z])")


def shared_files(package: pathlib.Path) -> list[pathlib.Path]:
    """Python files of a package that belong to no family: all but `models/<family>/`."""
    models = package / "models"
    return [
        path
        for path in sorted(package.rglob("*.py"))
        if models not in path.parents or path.parent == models
    ]


def named_words(path: pathlib.Path) -> list[str]:
    """Words of families that a file holds, in code, comments or strings; each once."""
    return sorted(set(NAMED.findall(path.read_text(encoding="utf-8"))))


def main() -> None:
    """Prints a row per folder, and under the table the files that name a family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = pathlib.Path(__file__).resolve().parents[1]
    parser.add_argument("folders", nargs="*", type=pathlib.Path, default=[here])
    args = parser.parse_args()
    print(
        "| folder | lines | shared files | of which name a family |\n|---|---|---|---|"
    )
    listed = []
    for folder in map(pathlib.Path.resolve, args.folders):
        package = folder / "rac_jax"
        files = sorted(package.rglob("*.py"))
        lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
        shared = shared_files(package)
        naming = {path: words for path in shared if (words := named_words(path))}
        print(f"| {folder.name} | {lines} | {len(shared)} | {len(naming)} |")
        listed += [
            f"{path.relative_to(folder.parent)}: {', '.join(words)}"
            for path, words in naming.items()
        ]
    print("\n" + "\n".join(listed))


if __name__ == "__main__":
    main()
