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
# What counting needs, on every system.
REQUIREMENTS = [
    "av>=18.0",
    "chex>=0.1.90",
    "flatbuffers>=24.3",  # jax.export writes programs with it and does not declare it
    "flax>=0.12.8",
    "jax>=0.10.2",
    "matplotlib>=3.9",
    "numpy>=2.0",
    "optax>=0.2.8",
    "pillow>=10.0",
    "platformdirs>=4.0",
    "safetensors>=0.5",
    "scipy>=1.13",
    "tqdm>=4.66",
]
# What training needs beside that; `array-record` has no wheels for Windows.
TRAIN = [
    "absl-py>=2.1",
    "array-record>=0.8",
    "grain>=0.2.18",
    "importlib_resources>=6.0",  # tensorflow-datasets 4.9.10 needs it and does not declare it
    "ml-collections>=1.0",
    "orbax-checkpoint>=0.12.8",
    "tensorboardX>=2.6",
    "tensorflow-datasets>=4.9.10",
]

# The page of `rac live`.
LIVE = [
    "starlette>=0.46",
    "uvicorn>=0.34",
]

TORCH = "torch==2.13.0"  # this exact request installs the CPU build

README = (HERE / "README.md").read_text(encoding="utf-8")

setuptools.setup(
    name="rac_jax",
    version=VERSION,
    description="Repetitive activity counting in video, by sight and sound, in JAX",
    # Where it is shown there are no files beside it, so that its pictures cannot be.
    long_description=re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", README),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Video",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    keywords="repetition counting, video, audio-visual, jax, flax",
    packages=[
        *setuptools.find_packages(include=["rac_jax", "rac_jax.*"]),
        "rac_jax.configs",
        "rac_jax.examples",
    ],
    # These lie at the top of a clone and in the package once it is installed; see
    # `rac_jax/shipped.py`.
    package_dir={"rac_jax.configs": "configs", "rac_jax.examples": "examples"},
    package_data={
        "rac_jax": ["py.typed"],
        "rac_jax.counting.skim": ["listener.safetensors"],
        "rac_jax.view": ["live.html"],
        "rac_jax.weights": ["*/config.json", "*/*.safetensors"],
        "rac_jax.examples": ["sample.*"],
    },
    install_requires=REQUIREMENTS,
    extras_require={
        "train": TRAIN,
        "cuda12": ["jax[cuda12]>=0.10.2"],
        "cuda13": ["jax[cuda13]>=0.10.2"],
        "tpu": ["jax[tpu]>=0.10.2"],
        "live": LIVE,
        # Runs the pose networks of MediaPipe's wheel, which itself wants numpy 1.
        "pose": ["ai-edge-litert>=2.1"],
        "test": [
            *TRAIN,
            *LIVE,
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
            # Resolves for other systems, and builds what is installed elsewhere.
            "build>=1.2",
            "uv>=0.5",
        ],
        "bench": [TORCH],
        # Other optical flow to compare with: `python -m benchmarks.flow`.
        "flow": ["opencv-python-headless>=4.10"],
        # For `rac convert repnet --tensorflow` alone.
        "tensorflow": ["tensorflow-cpu>=2.18"],
        "colab": ["ipython", "ipywidgets"],
    },
    entry_points={"console_scripts": ["rac = rac_jax.cli.main:run_and_exit"]},
)
