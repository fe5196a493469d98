"""Installs rac_jax and its `rac` command. Build system and tool settings: pyproject.toml."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent

VERSION = re.search(
    r'__version__ = "(.+)"',
    (HERE / "rac_jax" / "version.py").read_text(encoding="utf-8"),
).group(1)

# Lower bounds are the versions the code was tried on; nothing is pinned from above.
REQUIREMENTS = [
    "absl-py>=2.1",
    "array-record>=0.8",
    "av>=18.0",
    "chex>=0.1.90",
    "flatbuffers>=24.3",  # jax.export writes programs with it and does not declare it
    "flax>=0.12.8",
    "grain>=0.2.18",
    "importlib_resources",  # tensorflow-datasets 4.9.10 needs it and does not declare it
    "jax>=0.10.2",
    "matplotlib>=3.9",
    "ml-collections>=1.0",
    "numpy>=2.0",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pillow>=10.0",
    "safetensors>=0.5",
    "scipy>=1.13",
    "tensorboardX>=2.6",
    "tensorflow-datasets>=4.9.10",
    "tqdm>=4.66",
]

TORCH = "torch==2.13.0"  # this exact request installs the CPU build

setuptools.setup(
    name="rac_jax",
    version=VERSION,
    description="Repetitive activity counting in video, by sight and sound, in JAX",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["rac_jax", "rac_jax.*"]),
    package_data={"rac_jax.weights": ["*/config.json", "*/*.safetensors"]},
    install_requires=REQUIREMENTS,
    extras_require={
        "test": [
            "ipykernel",
            "ipython",
            "nbclient",
            "nbformat",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.12",
            # Builds the toy family that the tests install.
            "setuptools>=70.1",
            TORCH,
        ],
        "bench": [TORCH],
        "colab": ["ipython", "ipywidgets"],
    },
    entry_points={"console_scripts": ["rac = rac_jax.cli.main:run_and_exit"]},
)
