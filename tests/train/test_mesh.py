"""Which tensor lies where."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from rac_jax.train import mesh


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
    assert mesh.local_rows(mesh.make_mesh(), 6) == slice(0, 6)


def test_keys_can_be_put():
    devices = mesh.make_mesh()
    tree = {"key": jax.random.key(3), "x": jnp.arange(4)}
    put = mesh.put(tree, mesh.state_shardings(tree, devices))
    assert jax.random.key_data(put["key"]).tolist() == [0, 3]
