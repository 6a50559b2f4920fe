"""The distribution `hrnet-tf`: hrnet_tf, training, conversion and mobile_eval, with the command `hrnet`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
PACKAGES = ("hrnet_tf", "training", "conversion", "mobile_eval")

# All that mobile_eval needs besides a TFLite runtime: it has wheels for ARM, with numpy 1 and 2. Python 3.10 and later.
BASE = [
    "numpy>=1.23",
    "opencv-python-headless>=4.9",
    "typer>=0.15",
    "rich>=13",
    "jinja2>=3.1",
    "markupsafe>=2.1",
    "faster-coco-eval>=1.6.5",
]
LITERT = ["ai-edge-litert>=1.2", "flatbuffers>=24"]  # flatbuffers reads the schema that comes with it
# Its last version, built against numpy 1; opencv 4.12 and later ask for numpy 2. Up to Python 3.11.
TFLITE_RUNTIME = ["tflite-runtime==2.14.0", "numpy<2", "opencv-python-headless<4.12"]
# LiteRT has no wheels for 32-bit ARM.
DEVICE = [f"{name}; platform_machine != 'armv7l'" for name in LITERT]
DEVICE += [f"{name}; platform_machine == 'armv7l'" for name in TFLITE_RUNTIME]

# With either Keras. scipy solves the mixed-integer programs of pruning.
LEARNING = ["safetensors>=0.4", "pyyaml>=6", "pillow>=10.1", "matplotlib>=3.8", "scipy>=1.10"]
TRAIN = [
    *LEARNING,
    *LITERT,
    "tensorflow>=2.21",  # the first whose files name each operator's layer; up to Python 3.13
    "tf_keras>=2.21",
    "tensorflow-model-optimization>=0.8.0",
    "setuptools>=65",  # tensorflow-model-optimization imports distutils, which left the standard library in Python 3.12
    "tensorboard>=2.18",
    "protobuf>=4.21",
    "litert-quantizer>=0.11",
]
# Training on Keras 3 instead, without TensorFlow unless that is its backend.
KERAS3 = [*LEARNING, "keras>=3.5"]
JAX = [*KERAS3, "jax>=0.4.30"]
# Training of detectors. keras-cv brings tensorflow-datasets, keras-core, pyarrow and kagglehub, and `promise`, which is built
# from source: nobody else should need to install them.
DETECTION = ["keras-cv>=0.9.0"]
ETHOSU = ["ethos-u-vela>=4"]  # Arm's compiler for its NPUs
SNAPDRAGON = [  # Qualcomm's compiler for the NPUs of Snapdragons, under a licence of Qualcomm
    "onnxruntime-qnn>=2.7; sys_platform == 'linux' and platform_machine == 'x86_64'"
]
# TensorFlow Lite for Microcontrollers, whose versions are all named as development versions.
MICRO = ["tflite-micro>=0.dev20250101; sys_platform == 'linux' and platform_machine == 'x86_64'"]
OPENVINO = ["openvino>=2024.4"]  # reads .tflite files, int8 too
TORCH = ["torch>=2.2"]  # reads .pth checkpoints
TFDS = ["tensorflow-datasets>=4.9"]  # data sets by name, for `hrnet data import tfds`
SLURM = ["submitit>=1.5"]  # `hrnet study --executor slurm`
RAY = ["ray>=2.9"]  # `hrnet study --executor ray`
PANDAS = ["pandas>=1.5"]  # results as data frames, `to_pandas`
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5", "mkdocstrings[python]>=1.0", "ruff>=0.9"]  # ruff wraps signatures
DEV = [
    "ml_dtypes>=0.4",
    "pytest>=8",
    "pytest-xdist>=3.8",
    "ruff>=0.9",
    "mypy>=1.14",
    "pycocotools>=2.0.8",
    "nbclient>=0.10",  # runs the notebooks of examples/
    "nbformat>=5.10",
    "ipykernel>=6.29",
    *PANDAS,
    *KERAS3,
]


def version() -> str:
    """`__version__` of hrnet_tf, read without importing it."""
    [found] = re.findall(r'^__version__ = "(.+)"$', (ROOT / "hrnet_tf" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    return found


def readme() -> str:
    """The text of README.md, which a device's copy of the source may lack."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


setup(
    name="hrnet-tf",
    version=version(),
    description="HRNet pose networks for Keras that lose the fusion links they do not need, become int8 .tflite files, "
    "and are measured with nothing but a TFLite runtime",
    long_description=readme(),
    long_description_content_type="text/markdown",
    author="The hrnet_tf authors",
    project_urls={"HRNet's paper": "https://arxiv.org/abs/1908.07919"},
    license="Apache-2.0",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        **{name: ["py.typed"] for name in PACKAGES},
        "mobile_eval": ["py.typed", "report/templates/*", "web/page/*"],
        "training": ["py.typed", "tasks/*/recipes/*"],
    },
    python_requires=">=3.10",
    install_requires=BASE,
    extras_require={
        "train": TRAIN,
        "detection": DETECTION,
        "keras3": KERAS3,
        "jax": JAX,
        "device": DEVICE,
        "tflite-runtime": TFLITE_RUNTIME,
        "torch": TORCH,
        "ethosu": ETHOSU,
        "snapdragon": SNAPDRAGON,
        "micro": MICRO,
        "openvino": OPENVINO,
        "tfds": TFDS,
        "pandas": PANDAS,
        "slurm": SLURM,
        "ray": RAY,
        "all": [*TRAIN, *DETECTION, *JAX, *TORCH, *ETHOSU, *TFDS, *PANDAS, *SLURM, *RAY],
        "docs": DOCS,
        "dev": [*DEV, *DETECTION, *ETHOSU, *TFDS],
    },
    entry_points={"console_scripts": ["hrnet = hrnet_tf.__main__:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
