"""Compiled programs on disk: the same numbers, without tracing again, whatever has become of the files."""

import concurrent.futures
import functools
import os
import shutil

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rac_jax
from rac_jax import encoders
from rac_jax.counting import cache, programs
from rac_jax.weights import DEFAULT_MODEL
from tests import own_process

SPECTRUM = """
import sys, jax, numpy as np
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from rac_jax.counting import programs
from rac_jax.ops import mel, spectrogram
windows = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
program = programs.CompiledProgram(lambda x: mel.log_mel(spectrogram.log_power(x)), "test")
print(float(np.asarray(program(windows)).sum()))
"""


@flax.struct.dataclass
class Output:
    """Of the toy."""

    double: jax.Array
    other: jax.Array | None


class Toy(nn.Module):
    """Counts how often it is traced."""

    traced = 0

    def twice(self, x, y=None):
        """x · 2, and y · 2 if there is one."""
        type(self).traced += 1
        return Output(2 * x, None if y is None else 2 * y)


@pytest.fixture
def folder(tmp_path):
    """A compilation cache of the test's own."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    Toy.traced = 0
    yield tmp_path / "programs"
    jax.config.update("jax_compilation_cache_dir", before)


def _toy():
    # As in another process: programs of one process are shared.
    programs._SHARED.clear()
    module = Toy()
    return programs.CompiledProgram(
        functools.partial(module.apply, {}, method="twice"), module
    )


def _run(*arrays):
    return _toy()(*arrays)


def test_the_second_process_does_not_trace(folder):
    x, y = np.arange(3.0, dtype=np.float32), np.ones((2, 2), np.float32)
    first = _run(x, y)
    traced = Toy.traced
    assert traced > 0 and len(list(folder.iterdir())) == 1
    second = _run(x, y)
    assert Toy.traced == traced
    np.testing.assert_array_equal(first.double, second.double)
    np.testing.assert_array_equal(second.double, 2 * x)
    np.testing.assert_array_equal(second.other, 2 * y)
    assert _run(x, None).other is None and _run(np.ones(5, np.float32)).other is None
    assert len(list(folder.iterdir())) == 3 and Toy.traced > traced


def test_two_threads_share_one_program(folder):
    program, x = _toy(), np.ones(7, np.float32)
    program(x)
    alone, Toy.traced = Toy.traced, 0
    program = _toy()
    shutil.rmtree(folder)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: program(x).double, range(4)))
    assert Toy.traced == alone and all((one == 2).all() for one in found)


def test_a_damaged_file_is_made_anew(folder):
    x = np.arange(3.0, dtype=np.float32)
    _run(x)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(_run(x).double, 2 * x)
    assert len(path.read_bytes()) > len(whole) // 2


def test_what_comes_from_jaxs_own_cache_is_not_stored_half(tmp_path):
    """XLA:CPU writes a program that another process compiled without some functions."""
    found = []
    for time in ("compiled", "in JAX's cache", "stored"):
        if time == "in JAX's cache":
            shutil.rmtree(tmp_path / "programs")
        found.append(own_process.output(SPECTRUM, tmp_path))
        assert len(list((tmp_path / "programs").iterdir())) == 1
    assert len(set(found)) == 1 and float(found[0])


def test_a_program_that_does_not_run_is_made_anew_and_not_stored(folder, monkeypatch):
    x = np.arange(3.0, dtype=np.float32)
    _run(x)
    (path,) = folder.iterdir()
    whole = path.read_bytes()

    def half(*content, **options):
        def run(*arguments):
            raise jax.errors.JaxRuntimeError("NOT_FOUND: function fusion not found")

        return run

    monkeypatch.setattr(programs.serialize_executable, "deserialize_and_load", half)
    np.testing.assert_array_equal(_run(x).double, 2 * x)
    np.testing.assert_array_equal(_run(x[:2]).double, 2 * x[:2])
    assert list(folder.iterdir()) == [path] and path.read_bytes() == whole


def test_what_cannot_be_loaded_is_made_anew(folder):
    x = np.arange(3.0, dtype=np.float32)
    _run(x)
    (path,) = folder.iterdir()
    programs._store(path, b"whole, but no program")
    np.testing.assert_array_equal(_run(x).double, 2 * x)
    assert programs._stored(path) != b"whole, but no program"


def test_another_machine_has_programs_of_its_own(folder, monkeypatch):
    x = np.arange(3.0, dtype=np.float32)
    _run(x)
    monkeypatch.setattr(programs, "_processor", lambda: "flags: another")
    traced = Toy.traced
    np.testing.assert_array_equal(_run(x).double, 2 * x)
    assert Toy.traced > traced and len(list(folder.iterdir())) == 2


def test_what_cannot_be_written_runs_all_the_same(folder, monkeypatch):
    def refuse(program):
        raise ValueError("no serialisation")

    monkeypatch.setattr(programs.serialize_executable, "serialize", refuse)
    x = np.arange(3.0, dtype=np.float32)
    np.testing.assert_array_equal(_run(x).double, 2 * x)
    assert not folder.exists()


@pytest.mark.parametrize(
    "family", ["compact", pytest.param("sight_sound", marks=pytest.mark.slow)]
)
def test_a_second_counter_compiles_nothing(
    folder, clip, tiny_model, family, monkeypatch
):
    model = tiny_model if family == "sight_sound" else DEFAULT_MODEL
    programs._SHARED.clear()
    first = rac_jax.load(model).count(clip)

    def refuse(function, **options):
        pytest.fail("compiled again")

    monkeypatch.setattr(programs.compiling, "jit", refuse)
    programs._SHARED.clear()
    second = rac_jax.load(model).count(clip)
    assert second.to_dict() | {"seconds": 0} == first.to_dict() | {"seconds": 0}


def test_without_a_cache_nothing_is_stored(folder, tmp_path):
    jax.config.update("jax_compilation_cache_dir", None)
    np.testing.assert_array_equal(_run(jnp.ones(2)).double, [2, 2])
    assert not list(tmp_path.iterdir())


def test_shapes_of_a_model_are_stored(folder, monkeypatch):
    maker = encoders.Encoder("resnet18")
    network = maker.network(width=0.125)
    inputs = maker.example_inputs(network)
    plain = programs.abstract_variables(network, inputs)
    monkeypatch.setattr(
        programs.jax, "eval_shape", lambda *_: pytest.fail("worked out again")
    )
    assert programs.abstract_variables(network, inputs) == plain
    with pytest.raises(pytest.fail.Exception):
        programs.abstract_variables(maker.network(width=0.25), inputs)


def test_counters_of_one_process_share_programs():
    first, second = _toy(), programs.CompiledProgram(lambda x: x, Toy())
    assert first.programs is second.programs


posix = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")


@posix
@pytest.mark.parametrize("place", [".", "programs", "programs/name"])
def test_what_others_could_have_written_is_not_read(tmp_path, place):
    folder = tmp_path / "cache"
    path = folder / "programs" / "name"
    programs._store(path, b"code")
    assert programs._stored(path) == b"code"
    (folder / place).chmod(0o777)
    assert programs._stored(path) is None


@posix
def test_nothing_is_written_where_it_would_not_be_read(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    programs._store(folder / "programs" / "name", b"code")
    assert not list((folder / "programs").iterdir())


@posix
def test_programs_are_kept_where_new_files_are_open_to_the_group(
    tmp_path, monkeypatch, folder
):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache" / "xla"))
    shortest = jax.config.jax_persistent_cache_min_compile_time_secs
    before = os.umask(0o002)
    try:
        path = cache.enable_compilation_cache() / "programs" / "name"
        programs._store(path, b"code")
    finally:
        os.umask(before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)
    assert programs._stored(path) == b"code"
