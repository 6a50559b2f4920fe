"""Prune a Keras model by a plan: build it again without the removed units, with all weights that still have a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hrnet_tf.backend.graph import flat
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Dataset, KerasModel, Tensor
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.runs.pruning import Plan, units_kept
from mobile_eval.errors import HRNetError

LARGEST_BATCH = 64  # images of which statistics are computed at a time


def prune(model: KerasModel, plan: Plan, *, batch_norm_data: Dataset | None = None) -> KerasModel:
    """Return a new, smaller model without the units and channels that a plan removes, to be fine-tuned.

    The head and everything else outside of the trunk is kept. The new model has the precision of the old one, and is made for the
    `tf.distribute` strategy in whose scope `prune` is called.

    Args:
        model: The model that was planned for. It is not changed.
        plan: What `plan` returned.
        batch_norm_data: Inputs to estimate the statistics of BatchNorm on again, such as a part of the training set: a dataset as
            for `fit`, or an array of images (N, H, W, 3). A sum that has lost a term has other statistics. None to keep the old
            ones, which a fine-tuning of some hundred steps replaces too.

    Returns:
        A functional model with the inputs, outputs and name of `model`, not compiled.

    Raises:
        HRNetError: The plan is of another model, or the model is quantized or contains no HRNet.

    Example:
        >>> smaller = prune(model, plan(model, ranking, keep_macs=0.7))  # doctest: +SKIP
        >>> smaller.compile("adam", "mse")  # doctest: +SKIP
        >>> smaller.fit(train)  # doctest: +SKIP
    """
    if not isinstance(plan, Plan):
        raise HRNetError(f"`plan` must be what `plan` returned, got {type(plan).__name__}")
    spec = hrnet_spec_of(model)
    if plan.model_spec != spec:
        planned = plan.model_spec
        raise HRNetError(
            f"`plan` is of another model: {planned.name} with {units_kept(planned)}; "
            f"expected {spec.name} with {units_kept(spec)} of the same sizes"
        )
    smaller = rebuild(model, plan.spec, channels=plan.channels)
    if batch_norm_data is not None:
        reestimate_batch_norm(smaller, input_batches(batch_norm_data))
    return smaller


def input_batches(data: Dataset, size: int = LARGEST_BATCH) -> Iterator[Tensor]:
    """Yield the inputs of a dataset as for `fit`, or of an array, in batches."""
    if isinstance(data, tuple) and data:
        data = data[0]
    if hasattr(data, "shape"):
        yield from (data[start : start + size] for start in range(0, len(data), size))
        return
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    for element in (data[index] for index in range(len(data))) if indexed else data:
        yield element[0] if isinstance(element, tuple) else element


def reestimate_batch_norm(model: KerasModel, batches: Iterable[Tensor]) -> None:
    """Set the moving mean and variance of every BatchNorm layer to the means over `batches`, weighted by their sizes.

    Args:
        model: A Keras model. Layers that are not trainable keep their statistics.
        batches: Inputs, such as images (N, H, W, 3).
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    images = 0
    for batch in batches:
        size = len(flat(batch)[0])
        for layer in norms:
            layer.momentum = images / (images + size)  # together: the mean over all images
        model(batch, training=True)
        images += size
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
