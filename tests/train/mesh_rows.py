"""What a batch is on a mesh whose order is given: `python -m tests.train.mesh_rows FILE [options]`.

Writes to FILE, an .npz, the rows that this process supplied, the global batch as a jitted function
sees it, and the sum that it makes of rows and weights.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.train import hosts
from rac_jax.train import mesh as meshes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--devices", type=int, default=8, help="of each process")
    parser.add_argument("--order", type=int, nargs="+", help="of all devices")
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--coordinator")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", args.devices)
    if args.processes > 1:
        hosts.start(args.coordinator, args.processes, args.process)
    devices = [jax.devices()[place] for place in args.order]
    mesh = meshes.make_mesh(fsdp=args.fsdp, devices=devices)
    batch = 2 * len(devices)
    whole = {"x": np.arange(batch * 3, dtype=np.float32).reshape(batch, 3)}
    rows = meshes.local_rows(mesh, batch)
    local = {name: value[rows] for name, value in whole.items()}
    found = meshes.put_batch(local, mesh, rows, batch)["x"]
    assert found.sharding == NamedSharding(mesh, meshes.BATCH)
    np.testing.assert_array_equal(meshes.own_rows({"x": found})["x"], local["x"])
    replicated = NamedSharding(mesh, meshes.REPLICATED)

    def judge(x):
        weights = jnp.arange(batch, dtype=jnp.float32)[:, None]
        return x, jnp.sum(weights * x)

    seen, total = jax.jit(judge, out_shardings=replicated)(found)
    np.savez(args.file, rows=rows, seen=np.asarray(seen), total=np.asarray(total))


if __name__ == "__main__":
    main()
