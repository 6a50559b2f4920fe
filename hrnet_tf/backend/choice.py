"""Which Keras the package runs on: tf_keras, or Keras 3 with its TensorFlow or JAX backend.

The environment says so (HRNET_KERAS, KERAS_BACKEND), or `use_keras` before the first model is built; `_keras` then
opens that one, and no other in the same process. Light: nothing is imported here.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from mobile_eval.errors import HRNetError

VARIABLE, BACKEND_VARIABLE = "HRNET_KERAS", "KERAS_BACKEND"
TF_KERAS, KERAS_3 = "tf_keras", "keras"
BACKENDS = ("tensorflow", "jax")


def use_keras(name: str, backend: str | None = None) -> None:
    """Run on "tf_keras" or on "keras", which is Keras 3 with that `backend` ("tensorflow" or "jax"; else as Keras finds it).

    Raises HRNetError where another one is open already.
    """
    _check(name)
    if backend is not None and (name != KERAS_3 or backend not in BACKENDS):
        raise HRNetError(f"the backend goes with {KERAS_3!r} and is one of {', '.join(BACKENDS)}; got {name!r} with {backend!r}")
    opened = _opened()
    if opened and (name, backend or opened.BACKEND) != (opened.NAME, opened.BACKEND):
        raise HRNetError(f"{active_keras()} is open already: call use_keras before the first model is built, or set {VARIABLE}")
    os.environ[VARIABLE] = name
    if backend:
        os.environ[BACKEND_VARIABLE] = backend


def chosen_keras() -> str:
    """The name, "tf_keras" or "keras", of the Keras that is open or will be."""
    opened = _opened()
    return opened.NAME if opened else _check(os.environ.get(VARIABLE) or TF_KERAS)


def active_keras() -> str:
    """The Keras that is open or will be, in words: "tf_keras", "Keras 3 (jax)"."""
    if chosen_keras() == TF_KERAS:
        return TF_KERAS
    opened = _opened()
    backend = opened.BACKEND if opened else os.environ.get(BACKEND_VARIABLE)
    return f"Keras 3 ({backend})" if backend else "Keras 3"


def open_for_loading(name: str) -> None:
    """Choose the Keras `name`, which loads a model, unless one is chosen; HRNetError where that is the other one."""
    if not _opened() and not os.environ.get(VARIABLE):
        use_keras(name)
    if chosen_keras() != name:
        raise HRNetError(
            f"{_words(name)} cannot load a model of hrnet_tf while {active_keras()} is active: "
            f"load it with {chosen_keras()}, or set {VARIABLE}={name}"
        )


def check_tf_keras(what: str) -> None:
    """Raise HRNetError unless tf_keras is active, which alone can do `what`."""
    if chosen_keras() != TF_KERAS:
        raise HRNetError(f"{what} needs tf_keras, but {active_keras()} is active: unset {VARIABLE}")


def check_tensorflow(what: str) -> None:
    """Raise HRNetError where TensorFlow is not imported, which `what` is made of."""
    opened = _opened()
    if opened and opened.BACKEND != "tensorflow":
        raise HRNetError(
            f"{what} needs TensorFlow, but {active_keras()} is active: set {BACKEND_VARIABLE}=tensorflow or unset {VARIABLE}"
        )


def check_same_keras(*objects: Any) -> None:
    """Raise HRNetError if one of `objects` (callbacks, optimizers, lists of them) is of the Keras that is not active."""
    other = KERAS_3 if chosen_keras() == TF_KERAS else TF_KERAS
    for one in objects:
        if isinstance(one, list | tuple):
            check_same_keras(*one)
        found = next((base for base in type(one).__mro__ if base.__module__.split(".")[0] == other), None)
        if found:
            wanted = "import tf_keras as keras" if other == KERAS_3 else "import keras"
            raise HRNetError(
                f"{type(one).__name__} is of {_words(other)} ({found.__module__}), but {active_keras()} is active: "
                f"make it of {chosen_keras()} (`{wanted}`, not tf.keras), or set {VARIABLE}={other}"
            )


def _check(name: str) -> str:
    if name not in (TF_KERAS, KERAS_3):
        raise HRNetError(f"{VARIABLE} is {TF_KERAS} or {KERAS_3} (Keras 3), got {name!r}")
    return name


def _words(name: str) -> str:
    return "Keras 3" if name == KERAS_3 else TF_KERAS


def _opened() -> Any:
    """The module `_keras` once it chose, else None."""
    module = sys.modules.get("hrnet_tf.backend.keras_module")
    return module if hasattr(module, "BACKEND") else None
