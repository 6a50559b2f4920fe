"""The choice of the Keras that the package runs on: tf_keras, or Keras 3 with its TensorFlow or JAX backend.

It is made by the environment variables HRNET_KERAS and KERAS_BACKEND, or by `use_keras` before the first model is built.
`hrnet_tf.backend.keras_module` then imports that Keras, which is the only one in the process. This module imports no Keras.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from mobile_eval.errors import HRNetError

VARIABLE, BACKEND_VARIABLE = "HRNET_KERAS", "KERAS_BACKEND"
TF_KERAS, KERAS_3 = "tf_keras", "keras"
BACKENDS = ("tensorflow", "jax")


def use_keras(name: str, backend: str | None = None) -> None:
    """Choose the Keras that the package runs on.

    Args:
        name: "tf_keras", or "keras" for Keras 3.
        backend: Backend of Keras 3, "tensorflow" or "jax"; None for the one that Keras chooses.

    Raises:
        HRNetError: If another Keras is already imported by the package.

    Example:
        >>> import hrnet_tf
        >>> hrnet_tf.use_keras("keras", backend="jax")  # doctest: +SKIP
    """
    _check(name)
    if backend is not None and (name != KERAS_3 or backend not in BACKENDS):
        raise HRNetError(
            f"`backend` must be one of {', '.join(BACKENDS)}, and is only for {KERAS_3!r}; got {backend!r} for {name!r}"
        )
    module = _keras_module()
    if module and (name, backend or module.BACKEND) != (module.NAME, module.BACKEND):
        raise HRNetError(
            f"cannot change to {_words(name)}, {active_keras()} is already in use: "
            f"call use_keras before the first model is built, or set {VARIABLE}"
        )
    os.environ[VARIABLE] = name
    if backend:
        os.environ[BACKEND_VARIABLE] = backend


def chosen_keras() -> str:
    """Return the name of the Keras that is or will be in use, "tf_keras" or "keras"."""
    module = _keras_module()
    return str(module.NAME) if module else _check(os.environ.get(VARIABLE) or TF_KERAS)


def active_keras() -> str:
    """Return the Keras that is or will be in use, for messages: "tf_keras", "Keras 3 (jax)"."""
    if chosen_keras() == TF_KERAS:
        return TF_KERAS
    module = _keras_module()
    backend = module.BACKEND if module else os.environ.get(BACKEND_VARIABLE)
    return f"Keras 3 ({backend})" if backend else "Keras 3"


def choose_for_loading(name: str) -> None:
    """Choose the Keras `name`, which is loading a model, if none is chosen.

    Raises:
        HRNetError: If the other Keras is chosen.
    """
    if not _keras_module() and not os.environ.get(VARIABLE):
        use_keras(name)
    if chosen_keras() != name:
        raise HRNetError(
            f"{_words(name)} cannot load a model of hrnet_tf while {active_keras()} is active: "
            f"load it with {chosen_keras()}, or set {VARIABLE}={name}"
        )


def check_tf_keras(purpose: str) -> None:
    """Raise HRNetError unless tf_keras is active, which `purpose` requires."""
    if chosen_keras() != TF_KERAS:
        raise HRNetError(f"{purpose} needs tf_keras, but {active_keras()} is active: unset {VARIABLE}")


def check_tensorflow(purpose: str) -> None:
    """Raise HRNetError if the backend is not TensorFlow, which `purpose` requires."""
    module = _keras_module()
    if module and module.BACKEND != "tensorflow":
        raise HRNetError(
            f"{purpose} needs TensorFlow, but {active_keras()} is active: set {BACKEND_VARIABLE}=tensorflow or unset {VARIABLE}"
        )


def check_same_keras(*objects: object) -> None:
    """Check that objects are not of the Keras that is not active.

    Args:
        objects: Callbacks, optimizers and the like, and lists of them.

    Raises:
        HRNetError: If one is.
    """
    inactive = KERAS_3 if chosen_keras() == TF_KERAS else TF_KERAS
    for item in objects:
        if isinstance(item, list | tuple):
            check_same_keras(*item)
        base = next((base for base in type(item).__mro__ if base.__module__.split(".")[0] == inactive), None)
        if base:
            statement = "import tf_keras as keras" if inactive == KERAS_3 else "import keras"
            raise HRNetError(
                f"{type(item).__name__} is an object of {_words(inactive)} ({base.__module__}), but {active_keras()} is active: "
                f"create it with {chosen_keras()} (`{statement}`, not tf.keras), or set {VARIABLE}={inactive}"
            )


def _check(name: str) -> str:
    if name not in (TF_KERAS, KERAS_3):
        raise HRNetError(f"{VARIABLE} must be {TF_KERAS} or {KERAS_3} (Keras 3), got {name!r}")
    return name


def _words(name: str) -> str:
    return "Keras 3" if name == KERAS_3 else TF_KERAS


def _keras_module() -> ModuleType | None:
    """The module `hrnet_tf.backend.keras_module` once it has imported Keras."""
    module = sys.modules.get("hrnet_tf.backend.keras_module")
    return module if module is not None and hasattr(module, "BACKEND") else None
