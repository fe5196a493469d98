"""Tables between our arrays and PyTorch's: exact in both directions, mistakes by name."""

import numpy as np
import pytest

from rac_jax.interop.tables import Table, TableError, dense_entries, layer_entries

SHAPES = {
    "params/part/stem/conv/kernel": (3, 5, 2, 4),
    "params/part/stem/norm/scale": (4,),
    "params/part/stem/norm/bias": (4,),
    "batch_stats/part/stem/norm/mean": (4,),
    "batch_stats/part/stem/norm/var": (4,),
    "params/head/kernel": (4, 6),
    "params/head/bias": (6,),
}


def layer_name(parts):
    return ".".join(parts)


@pytest.fixture
def table():
    entries = layer_entries(SHAPES, layer_name, "part/", "theirs.")
    return Table(entries + dense_entries(SHAPES, "head", "fc"), {"old": (2, 3)})


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        path: rng.normal(size=shape).astype(np.float32)
        for path, shape in SHAPES.items()
    }


def test_names_and_axes(table, arrays):
    tensors = table.to_torch(arrays | {"params/other": np.zeros(1)})
    assert set(tensors) == {
        "theirs.stem.conv.weight",
        "theirs.stem.norm.weight",
        "theirs.stem.norm.bias",
        "theirs.stem.norm.running_mean",
        "theirs.stem.norm.running_var",
        "theirs.stem.norm.num_batches_tracked",
        "fc.weight",
        "fc.bias",
        "old",
    }
    kernel = tensors["theirs.stem.conv.weight"]
    ours = arrays["params/part/stem/conv/kernel"]
    assert kernel.shape == (4, 2, 3, 5)
    assert kernel[3, 1, 2, 4] == ours[2, 4, 1, 3]
    np.testing.assert_array_equal(tensors["fc.weight"], arrays["params/head/kernel"].T)


def test_there_and_back(table, arrays):
    back = table.to_jax(table.to_torch(arrays))
    assert back.keys() == arrays.keys()
    for path, array in arrays.items():
        np.testing.assert_array_equal(back[path], array)


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda t: t.pop("fc.bias"), "lacks the tensor fc.bias"),
        (lambda t: t.pop("old"), "lacks the tensor old"),
        (lambda t: t.update(new=np.zeros(1)), "holds the tensor new, which the model"),
        (
            lambda t: t.update({"fc.bias": np.zeros(5, np.float32)}),
            r"fc.bias is \[5\], the model has \[6\]",
        ),
        (
            lambda t: t.update(old=np.zeros((2, 4))),
            r"old is \[2, 4\], the model has \[any, 3\]",
        ),
        (
            lambda t: t.update({"fc.bias": np.zeros(6, int)}),
            "fc.bias is of type int64, not float",
        ),
    ],
)
def test_misfits_are_named(arrays, change, message):
    entries = layer_entries(SHAPES, layer_name, "part/", "theirs.")
    whole = Table(entries + dense_entries(SHAPES, "head", "fc"), {"old": (2, 3)})
    tensors = whole.to_torch(arrays)
    readable = Table(whole.entries, {"old": (None, 3)})
    readable.to_jax(tensors)
    change(tensors)
    with pytest.raises(TableError, match=message):
        readable.to_jax(tensors)


def test_optional_tensors_may_be_missing_and_are_not_written(arrays):
    entries = dense_entries(SHAPES, "head", "fc")
    optional = Table(entries, {"old": (None,)}, optional=True)
    tensors = optional.to_torch(arrays)
    assert set(tensors) == {"fc.weight", "fc.bias"}
    assert optional.to_jax(tensors).keys() == {"params/head/kernel", "params/head/bias"}
    optional.to_jax(tensors | {"old": np.zeros(7)})
    with pytest.raises(TableError, match="old is"):
        optional.to_jax(tensors | {"old": np.zeros((7, 1))})


def test_arrays_that_do_not_fit(table, arrays):
    with pytest.raises(TableError, match="lacks the array params/head/bias"):
        table.to_torch({k: v for k, v in arrays.items() if k != "params/head/bias"})
    arrays["params/head/bias"] = np.zeros(7)
    with pytest.raises(TableError, match=r"params/head/bias is \[7\]"):
        table.to_torch(arrays)
