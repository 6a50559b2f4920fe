"""The only module that imports Keras: tf_keras, or Keras 3 if that is chosen (see `hrnet_tf.backend.choice`).

Quantization-aware training (tensorflow-model-optimization) and conversion work with tf_keras only, the default. All other code is
written once for both, with these names:

- `keras`: the active Keras
- `ops`, `random`: those of Keras 3; for tf_keras, their equivalents in `hrnet_tf.backend.tf_ops`
- `tf`: TensorFlow; with the JAX backend, an object whose attributes raise HRNetError
- `NAME`, `BACKEND`: "tf_keras" or "keras", and "tensorflow" or "jax"
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from hrnet_tf.backend.choice import BACKEND_VARIABLE, BACKENDS, TF_KERAS, VARIABLE, check_tensorflow, chosen_keras
from hrnet_tf.backend.types import KerasModule, TensorFlowModule
from mobile_eval.errors import HRNetError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress Python warnings, TensorFlow's messages, and what native code prints to stderr."""
    sys.stderr.flush()
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    stderr = os.dup(2)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        logger.setLevel(level)


class _NoTensorFlow:
    """Takes the place of TensorFlow with the JAX backend."""

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("__"):
            check_tensorflow(f"tf.{name}")
        raise AttributeError(name)


class _Modules(NamedTuple):
    keras: KerasModule
    ops: KerasModule
    random: KerasModule
    backend: str
    tensorflow: TensorFlowModule


def _import_tensorflow() -> TensorFlowModule:
    import tensorflow

    tensorflow.config.list_physical_devices()  # prints about GPUs, once
    return tensorflow


def _import_tf_keras() -> _Modules:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        tensorflow = _import_tensorflow()
        import tf_keras
    except ImportError as error:
        raise HRNetError(
            f"cannot import tf_keras ({error}): pip install 'hrnet-tf[train]', or set {VARIABLE}=keras for Keras 3"
        ) from error
    from hrnet_tf.backend import tf_ops

    _route_to_tf_keras(tensorflow)
    return _Modules(tf_keras, tf_ops, tf_ops.random, "tensorflow", tensorflow)


def _route_to_tf_keras(tensorflow: TensorFlowModule) -> None:
    """Make `tensorflow.keras` tf_keras even if TensorFlow was imported before TF_USE_LEGACY_KERAS was set; keras-cv needs it.

    TensorFlow's own __init__.py does the same. If `tf.keras` was used before, it stays Keras 3.
    """
    from tensorflow.python.tools import module_util

    version = getattr(tensorflow.keras, "version", None)  # only Keras 3 has it
    if version is None:
        tensorflow.__path__ = [module_util.get_parent_dir_for_name("tf_keras.api._v2.keras"), *tensorflow.__path__]


def _import_keras_3() -> _Modules:
    requested = os.environ.get(BACKEND_VARIABLE)
    if requested and requested not in BACKENDS:
        raise HRNetError(f"{BACKEND_VARIABLE} must be one of {', '.join(BACKENDS)}, got {requested!r}")
    try:
        import keras

        backend = keras.config.backend() if hasattr(keras, "config") else f"of keras {keras.__version__}"
        tensorflow = _import_tensorflow() if backend == "tensorflow" else _NoTensorFlow()
    except ImportError as error:
        raise HRNetError(
            f"cannot import Keras 3 with the backend {requested or 'that it chooses'} ({error}): "
            f"pip install 'hrnet-tf[jax]' and set {BACKEND_VARIABLE}=jax, or unset {VARIABLE}"
        ) from error
    if backend not in BACKENDS or (requested and backend != requested):
        raise HRNetError(
            f"the backend of Keras is {backend}, expected {requested or ' or '.join(BACKENDS)}: "
            f"set {BACKEND_VARIABLE} before Keras is imported"
        )
    return _Modules(keras, keras.ops, keras.random, backend, tensorflow)


NAME = chosen_keras()
with quiet():
    keras, ops, random, BACKEND, tf = _import_tf_keras() if NAME == TF_KERAS else _import_keras_3()

__all__ = ["BACKEND", "NAME", "keras", "ops", "quiet", "random", "tf"]
