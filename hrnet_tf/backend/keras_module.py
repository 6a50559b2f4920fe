"""The one place that opens Keras: tf_keras, or Keras 3 where that is chosen (see `keras_choice`).

Quantization-aware training (tensorflow-model-optimization) and conversion work on tf_keras only, which is the
default. Everything else is written once for both: `keras` is the one that is open, `ops` and `random` are Keras 3's,
or their like on tf_keras. `tf` is there unless the backend is JAX, where TensorFlow is not imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from hrnet_tf.backend.choice import BACKEND_VARIABLE, BACKENDS, TF_KERAS, VARIABLE, check_tensorflow, chosen_keras
from mobile_eval.errors import HRNetError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what TensorFlow's native code prints past Python, and its warnings, off the user's screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _NoTensorFlow:
    """Stands where TensorFlow is where it is not imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return check_tensorflow(f"tf.{name}")


def _tensorflow() -> ModuleType:
    import tensorflow

    tensorflow.config.list_physical_devices()  # looks for a GPU, and says so, once
    return tensorflow  # type: ignore[no-any-return]


def _open_tf_keras() -> tuple[Any, Any, Any, str, Any]:
    """tf_keras, its `ops` and `random`, the backend's name, and TensorFlow."""
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        tensorflow = _tensorflow()
        import tf_keras
    except ImportError as error:
        raise HRNetError(
            f"cannot open tf_keras ({error}): pip install 'hrnet-tf[train]', or set {VARIABLE}=keras for Keras 3"
        ) from error
    from hrnet_tf.backend import tf_ops as _tf_ops

    _route_to_tf_keras(tensorflow)
    return tf_keras, _tf_ops, _tf_ops.random, "tensorflow", tensorflow


def _route_to_tf_keras(tensorflow: Any) -> None:
    """Make `tensorflow.keras` tf_keras also where TensorFlow was imported before it was told so, as keras-cv needs it.

    As TensorFlow's own __init__.py does. Where `tf.keras` was used already, it stays Keras 3.
    """
    from tensorflow.python.tools import module_util

    version = getattr(tensorflow.keras, "version", None)  # which tf_keras does not have
    if version is None:
        tensorflow.__path__ = [module_util.get_parent_dir_for_name("tf_keras.api._v2.keras"), *tensorflow.__path__]


def _open_keras_3() -> tuple[Any, Any, Any, str, Any]:
    """Keras 3, its `ops` and `random`, the backend's name, and TensorFlow where it is the backend."""
    wanted = os.environ.get(BACKEND_VARIABLE)
    if wanted and wanted not in BACKENDS:
        raise HRNetError(f"{BACKEND_VARIABLE} must be one of {', '.join(BACKENDS)}, got {wanted!r}")
    try:
        import keras

        backend = keras.config.backend() if hasattr(keras, "config") else f"of keras {keras.__version__}"
        tensorflow = _tensorflow() if backend == "tensorflow" else _NoTensorFlow()
    except ImportError as error:
        raise HRNetError(
            f"cannot open Keras 3 with the backend {wanted or 'that it finds'} ({error}): "
            f"pip install 'hrnet-tf[jax]' and set {BACKEND_VARIABLE}=jax, or unset {VARIABLE}"
        ) from error
    if backend not in BACKENDS or (wanted and backend != wanted):
        raise HRNetError(
            f"Keras's backend is {backend}, expected {wanted or ' or '.join(BACKENDS)}: "
            f"set {BACKEND_VARIABLE} before Keras is imported"
        )
    return keras, keras.ops, keras.random, backend, tensorflow


NAME = chosen_keras()
with quiet():
    keras, ops, random, BACKEND, tf = _open_tf_keras() if NAME == TF_KERAS else _open_keras_3()

__all__ = ["BACKEND", "NAME", "keras", "ops", "quiet", "random", "tf"]
