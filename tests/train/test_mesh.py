"""Which tensor lies where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from rac_jax.train import mesh
from tests import own_process


def test_large_kernels_are_split_by_output_channels():
    assert mesh.spec("a/kernel", (3, 3, 64, 128), 2) == PartitionSpec(
        None, None, None, "fsdp"
    )
    assert mesh.spec("kernel", (128, 256), 4) == PartitionSpec(None, "fsdp")


@pytest.mark.parametrize(
    ("path", "shape", "fsdp"),
    [
        ("a/kernel", (3, 3, 64, 128), 1),
        ("a/kernel", (3, 3, 64, 129), 2),
        ("a/kernel", (4, 8), 2),
        ("a/bias", (1 << 20,), 2),
        ("kernel_like", (128, 256), 2),
    ],
)
def test_everything_else_is_copied(path, shape, fsdp):
    assert mesh.spec(path, shape, fsdp) == PartitionSpec()


def test_optimiser_states_lie_where_their_parameters_do():
    devices = mesh.make_mesh()
    tree = {"mu": {"a": {"kernel": jnp.zeros((128, 256))}}, "count": jnp.zeros(())}
    shardings = mesh.state_shardings(tree, devices)
    assert jax.tree.structure(shardings) == jax.tree.structure(tree)


def test_sizes_must_fit_the_devices():
    with pytest.raises(ValueError, match="mesh.fsdp: 3 does not divide 1 devices"):
        mesh.make_mesh(fsdp=3)
    with pytest.raises(ValueError, match="mesh.data: 5 x fsdp 1 is not the 1 devices"):
        mesh.make_mesh(data=5)


def test_one_process_supplies_every_row():
    assert mesh.local_rows(mesh.make_mesh(), 6).tolist() == [0, 1, 2, 3, 4, 5]


WHOLE = np.arange(48, dtype=np.float32).reshape(16, 3)
TOTAL = float(np.sum(np.arange(16)[:, None] * WHOLE))
INTERLEAVED = (0, 4, 1, 5, 2, 6, 3, 7)


def test_a_batch_on_devices_in_another_order(tmp_path):
    file = tmp_path / "rows.npz"
    own_process.finish(
        own_process.start(
            "tests.train.mesh_rows", file, "--fsdp=2", "--order", *INTERLEAVED
        ),
        timeout_s=300,
    )
    with np.load(file) as found:
        assert found["rows"].tolist() == list(range(16))
        np.testing.assert_array_equal(found["seen"], WHOLE)
        assert found["total"] == TOTAL


def test_processes_whose_rows_are_not_next_to_each_other(tmp_path):
    """Devices 0 to 3 are the first process's: its rows lie between those of the other."""
    address = own_process.free_address()
    files = [tmp_path / f"{process}.npz" for process in range(2)]
    shared = ("--devices=4", "--processes=2", f"--coordinator={address}")
    both = [
        own_process.start(
            "tests.train.mesh_rows",
            file,
            *shared,
            f"--process={process}",
            "--order",
            *INTERLEAVED,
        )
        for process, file in enumerate(files)
    ]
    for process in both:
        own_process.finish(process, 300)
    for process, file in enumerate(files):
        with np.load(file) as found:
            want = [row for row in range(16) if row // 2 % 2 == process]
            assert found["rows"].tolist() == want
            np.testing.assert_array_equal(found["seen"], WHOLE)
            assert found["total"] == TOTAL


def test_keys_can_be_put():
    devices = mesh.make_mesh()
    tree = {"key": jax.random.key(3), "x": jnp.arange(4)}
    put = mesh.put(tree, mesh.state_shardings(tree, devices))
    assert jax.random.key_data(put["key"]).tolist() == [0, 3]
