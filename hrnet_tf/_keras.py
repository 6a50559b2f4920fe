"""The one place that chooses Keras.

Quantization-aware training (tensorflow-model-optimization) and keras-cv 0.9 work on Keras 2 only, so the
package runs on `tf_keras`; everything else imports `keras` from here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
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


with quiet():
    import tensorflow as tf
    import tf_keras as keras

    tf.config.list_physical_devices()  # looks for a GPU, and says so, once

__all__ = ["keras", "quiet", "tf"]
