"""The distribution `hrnet-tf`: hrnet_tf, training, conversion and mobile_eval, with the command `hrnet`."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("hrnet_tf", "training", "conversion", "mobile_eval")

# What mobile_eval needs on a device besides a TFLite runtime: all of it has wheels for ARM, with numpy 1 and 2.
BASE = [
    "numpy>=1.23",
    "opencv-python-headless>=4.8",
    "typer>=0.12",
    "rich>=13",
    "jinja2>=3.1",
    "faster-coco-eval>=1.6.5",
]
TRAIN = [
    "tensorflow>=2.18",
    "tf_keras>=2.18",
    "tensorflow-model-optimization>=0.8.0",
    "keras-cv>=0.9.0",
    "safetensors>=0.4",
    "scipy>=1.10",
    "pyyaml>=6",
    "matplotlib>=3.8",
    "tensorboard>=2.18",
    "pycocotools>=2.0.8",
    "ai-edge-litert>=1.2",
    "ai-edge-quantizer>=0.5",
]
# Training on Keras 3 instead, without TensorFlow unless that is its backend.
KERAS3 = ["keras>=3.5", "safetensors>=0.4", "scipy>=1.10", "pyyaml>=6"]
JAX = [*KERAS3, "jax>=0.4.30"]
# tflite-runtime 2.14.0 is its last version, built against numpy 1; opencv 4.12 and later ask for numpy 2.
DEVICE = [
    "tflite-runtime==2.14.0; python_version < '3.12'",
    "numpy<2; python_version < '3.12'",
    "opencv-python-headless<4.12; python_version < '3.12'",
    "ai-edge-litert>=1.2; python_version >= '3.12'",
]
ETHOSU = ["ethos-u-vela>=4"]  # Arm's compiler for its NPUs
TORCH = ["torch>=2.2"]  # reads .pth checkpoints
TFDS = ["tensorflow-datasets>=4.9"]  # data sets by name, for `hrnet data tfds`
DEV = ["pytest>=8", "pytest-xdist>=3.5", "ruff>=0.9", "mypy>=1.14"]

setup(
    name="hrnet-tf",
    version="0.1.0",
    description="HRNet pose networks for Keras that lose the fusion links they do not need, become int8 .tflite files, "
    "and are measured with nothing but a TFLite runtime",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    if Path(__file__).with_name("README.md").is_file()
    else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        **{name: ["py.typed"] for name in PACKAGES},
        "mobile_eval": ["py.typed", "templates/*"],
        "training": ["py.typed", "tasks/*/recipes/*"],
    },
    python_requires=">=3.10,<3.13",
    install_requires=BASE,
    extras_require={
        "train": TRAIN,
        "keras3": KERAS3,
        "jax": JAX,
        "device": DEVICE,
        "torch": TORCH,
        "ethosu": ETHOSU,
        "tfds": TFDS,
        "dev": DEV + ETHOSU,
    },
    entry_points={"console_scripts": ["hrnet = hrnet_tf.__main__:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
