"""The figures of the code, on a package of three files."""

from benchmarks import house


def test_counts_lines_and_files_that_name_a_family(tmp_path, capsys, monkeypatch):
    package = tmp_path / "new" / "rac_jax"
    family = package / "models" / "compact"
    family.mkdir(parents=True)
    (family / "network.py").write_text("compact = 1\n")
    (package / "models" / "__init__.py").write_text("# the compact counter\nx = 1\n")
    (package / "plain.py").write_text(
        "class Protocol: ...\nhistogramma = 'compactly'\n"
    )
    monkeypatch.setattr("sys.argv", ["house", str(package.parent)])
    house.main()
    out = capsys.readouterr().out
    assert "| new | 5 | 2 | 1 |" in out
    assert "rac_jax/models/__init__.py: compact" in out and "plain.py" not in out
