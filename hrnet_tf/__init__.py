"""HRNet for Keras: training, pruning of fusion links, quantization and conversion for edge devices."""

from hrnet_tf.backend.choice import use_keras
from hrnet_tf.backend.registration import register_classes
from hrnet_tf.shadowing import check_import

__all__ = ["__version__", "use_keras"]

__version__ = "0.2.0"

check_import()
register_classes()
