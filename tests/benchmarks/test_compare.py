"""The comparison with PyTorch: what it refuses, what it computes, and toy cases end to end."""

import functools
import json

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.compare import cases, ours, reference, run
from benchmarks.compare.profile import kind_of
from benchmarks.torch_reference import quick_transrac, quick_video_swin, transrac
from benchmarks.torch_reference.layers import randomise
from rac_jax.cli import main
from rac_jax.counting import programs


def _case(**changes):
    return cases.Case(**({"suite": "sight", "mode": "forward"} | COMMON | changes))


COMMON = {"device": "cpu", "batch": 2, "dtype": "float32"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "count"}, "suite full"),
        ({"suite": "tsm", "mode": "train"}, "nothing to train"),
        ({"suite": "full", "encoder": "r2plus1d18"}, "s3d only"),
        ({"width": 0.5}, "width: is of suites swin, .*lmrl, not sight"),
        ({"suite": "transrac", "frames": 6}, "frames: 6 is not a multiple of 4"),
    ],
)
def test_what_there_is_not(changes, message):
    with pytest.raises(ValueError, match=message):
        _case(**changes)


def test_inputs_are_the_same_for_both_sides():
    case = _case(suite="stride", frames=4, size=8, columns=6)
    first, second = cases.draw_inputs(case), cases.draw_inputs(case)
    assert {k: v.shape for k, v in first.items()} == {
        "clips": (2, 4, 8, 8, 3),
        "spectrograms": (2, 257, 6),
    }
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "s3d"},
        {"encoder": "r2plus1d18"},
        {"suite": "sound"},
        {"suite": "swin", "width": 0.25},
        {"suite": "repnet", "width": 0.125, "frames": 8},
        {"suite": "transrac", "width": 0.125, "frames": 8},
        {"suite": "lmrl", "width": 0.125, "frames": 8},
    ],
)
def test_weights_are_read_without_classifiers(changes, tmp_path):
    case = _case(**changes)
    state = reference.build_network(case).network.state_dict()
    np.savez(tmp_path / "weights.npz", **{k: v.numpy() for k, v in state.items()})
    maker = ours.find_maker(case)
    network = ours.find_network(case, maker)
    read = ours.read_weights(maker, network, tmp_path)
    drawn = ours.read_weights(maker, network, tmp_path / "nothing")
    assert jax.tree.map(np.shape, read) == jax.tree.map(np.shape, drawn)


def test_sides_that_disagree_are_not_timed(tmp_path):
    np.savez(tmp_path / "reference.npz", a=[1.0, 2.0], b=[5.0])
    np.savez(tmp_path / "ours.npz", a=[1.0, 2.0005], b=[5.0])
    assert run.difference(tmp_path, "float32") == pytest.approx(0.0005)
    np.savez(tmp_path / "ours.npz", a=[1.0, 2.5], b=[5.0])
    with pytest.raises(run.BenchError, match=r"a: .* 0\.5 apart"):
        run.difference(tmp_path, "float32")
    np.savez(tmp_path / "ours.npz", a=[1.0, np.nan], b=[5.0])
    with pytest.raises(run.BenchError):
        run.difference(tmp_path, "float32")


def test_a_row_by_hand():
    built = {
        "ours": {"way": "jit", "compile_s": 3.0, "version": "1", "flops": 4e9}
        | {"way_ms": {}, "bytes": 1e9},
        "reference": {"way": "eager", "compile_s": 1.0, "version": "2"}
        | {"way_ms": {"eager": 31.0}},
    }
    times = {"ours": [10.0, 20.0, 90.0], "reference": [30.0, 50.0, 40.0]}
    peaks, best = {"ours": 7.0, "reference": 9.0}, {"flops": 1e12, "bytes": 1e11}
    row = run.record(_case(), built, times, peaks, best, 1e-6)
    assert row["ours_ms"] == 20 and row["torch_ms"] == 40 and row["ratio"] == 2
    assert row["clips_per_s"] == pytest.approx(100)
    assert row["share_of_peak"] == pytest.approx(0.2)
    assert row["share_of_bandwidth"] == pytest.approx(0.5)
    line = run.table([row]).splitlines()[-1]
    assert (
        "eager: 40 (30-50)" in line and "| 2.00 | 100.00 | 20% | 50% | 7 / 9 |" in line
    )


def test_kinds_of_operations():
    assert kind_of("jit(f)/S3D/conv_1a/spatial/conv/conv_general") == "convolution"
    assert kind_of("jit(f)/S3D/conv_1a/spatial/norm/mul") == "normalisation"
    assert kind_of("jit(f)/S3D/stage4/max_pool/max") == "pooling"
    assert kind_of("jit(f)/add") == "rest"


def _bench(tmp_path, *options):
    file = tmp_path / "rows.json"
    options = ["bench", *options, "--steps", "2", "--warmup", "1", "--json", str(file)]
    code = main.main(options)
    return code, json.loads(file.read_text()) if file.exists() else []


def test_tsm_against_torch(tmp_path, capsys):
    options = ("--suite", "tsm", "--against", "torch", "--torch-ways", "eager")
    code, (row,) = _bench(tmp_path, *options, "--frames", "48")
    assert code == 0
    assert 0 <= row["max_abs_difference"] < 1e-4
    assert row["ratio"] == pytest.approx(row["torch_ms"] / row["ours_ms"])
    assert row["steps"] == 2 and {"jax", "torch"} <= set(row["versions"])
    assert "tsm forward, batch 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "mode", ["forward", pytest.param("train", marks=pytest.mark.slow)]
)
def test_swin_against_torch(tmp_path, mode):
    small = ("--width", "0.125", "--frames", "2", "--size", "40")
    options = ("--suite", "swin", "--mode", mode, *small)
    ways = ("--torch-ways", "eager", "channels_last")
    code, (row,) = _bench(tmp_path, *options, *ways, "--against", "torch")
    assert code == 0 and row["width"] == 0.125
    assert set(row["torch_ways_ms"]) == {"eager"}
    assert row["max_abs_difference"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("suite", ["repnet", "transrac", "lmrl"])
def test_counters_against_torch(tmp_path, suite, mode):
    small = ("--width", "0.125", "--frames", "8", "--size", "40", "--batch", "3")
    options = ("--suite", suite, "--mode", mode, *small, "--torch-ways", "eager")
    code, (row,) = _bench(tmp_path, *options, "--against", "torch")
    assert code == 0 and row["width"] == 0.125 and row["frames"] == 8
    assert row["max_abs_difference"] < 1e-3


def test_a_suite_has_defaults_of_its_own(tmp_path):
    code, (row,) = _bench(tmp_path, "--suite", "repnet", "--width", "0.125")
    assert code == 0 and (row["frames"], row["size"]) == (16, 64)


def test_nothing_is_left_to_chance():
    """Two training passes of either side are one and the same."""
    case = _case(suite="lmrl", mode="train", width=0.125, frames=8, size=32)
    theirs = reference.build_network(case).train()
    clips = cases.draw_inputs(case)["clips"]
    x = torch.from_numpy(np.moveaxis(clips, -1, 1).copy())
    with torch.no_grad():
        first, second = theirs(x), theirs(x)
    assert all(torch.equal(first[name], second[name]) for name in first)
    # Ours would ask for a key.
    maker = ours.find_maker(case)
    network = ours.find_network(case, maker)
    shapes = programs.abstract_variables(network, maker.example_inputs(network))
    run_once = functools.partial(ours.outputs_of, case, network, train=True)
    out, _ = jax.eval_shape(run_once, variables=shapes, inputs=[clips])
    assert out.keys() == first.keys()


def test_transrac_s_windows_at_once_are_what_windows_one_by_one_are():
    """The reference that is timed computes what the plain one does."""
    plain = randomise(transrac.narrow(8))
    quick = quick_transrac.TransRAC(quick_video_swin.VideoSwin(24, 1), 128, 8)
    quick.load_state_dict(plain.state_dict())
    clips = torch.randn(2, 3, 8, 32, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            quick.eval()(clips), plain(clips), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("option, least", [("--warmup", 0), ("--steps", 1)])
def test_steps_are_whole_numbers(option, least, capsys):
    for wrong in (str(least - 1), "1.5", "few"):
        with pytest.raises(SystemExit):
            main.main(["bench", "--suite", "tsm", option, wrong])
        message = f"{option}: '{wrong}' is not a whole number of at least {least}"
        assert message in capsys.readouterr().err


def test_a_profile_adds_up(tmp_path, capsys):
    options = ("--suite", "tsm", "--frames", "48", "--profile")
    code, (row,) = _bench(tmp_path, *options)
    assert code == 0
    parts = {k: v for k, v in row["profile"].items() if k != "whole step"}
    assert row["profile"]["whole step"] > 0
    assert sum(parts.values()) >= row["profile"]["whole step"] * 0.999
    out = capsys.readouterr().out
    assert "| ms a step | " in out and "whole step" in out


def test_ours_alone_and_a_case_that_fails(tmp_path, capsys):
    code, (row,) = _bench(tmp_path, "--suite", "tsm", "--mode", "train", "forward")
    assert code == 1
    assert "nothing to train" in capsys.readouterr().err
    assert row["torch_ms"] is None and row["ratio"] is None and row["ours_ms"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "mode"),
    [
        ("sight", "forward"),
        ("sight", "train"),
        ("sound", "forward"),
        ("sound", "train"),
        ("stride", "forward"),
        ("stride", "train"),
        ("full", "forward"),
        ("full", "train"),
    ],
)
def test_networks_against_torch(tmp_path, suite, mode):
    # Batch statistics of a few values only would magnify rounding.
    options = ("--suite", suite, "--mode", mode, "--frames", "32", "--size", "64")
    ways = ("--batch", "3", "--torch-ways", "eager", "channels_last")
    code, rows = _bench(tmp_path, *options, *ways, "--against", "torch")
    assert code == 0
    assert set(rows[0]["torch_ways_ms"]) == {"eager", "channels_last"}
    assert rows[0]["flops_per_s"] > 0


@pytest.mark.slow
def test_whole_video_against_torch(tmp_path):
    options = ("--suite", "full", "--mode", "count", "--seconds", "3")
    code, (row,) = _bench(tmp_path, *options, "--against", "torch")
    assert code == 0 and row["max_abs_difference"] < 1e-3
