"""HRNet for Keras, its fusion links, and what the edge makes of them."""

from hrnet_tf.backend.choice import use_keras
from hrnet_tf.backend.registration import register_classes
from hrnet_tf.shadowing import check_import

__all__ = ["__version__", "use_keras"]

__version__ = "0.2.0"

check_import()
register_classes()
