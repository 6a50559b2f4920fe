"""From the arrays of a checkpoint to a network that HRNet is compared with, and its weights."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from hrnet_tf.backend.types import Weights
from hrnet_tf.checkpoints.baselines.layout import Layout
from hrnet_tf.checkpoints.baselines.registry import official_layout
from hrnet_tf.checkpoints.entry import Entry, converted, official_shape
from hrnet_tf.checkpoints.report import ImportReport
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.resnet_trunk import CAFFE, style_of
from hrnet_tf.spec.baselines.trace import traced
from mobile_eval.errors import HRNetError

MAX_SIZE_RATIO = 2  # parameters of a network per value in the file it was inferred from
STRIDE_NOTE = (
    "the network has the stride in layer2.0.conv1; weights that were trained with it in layer2.0.conv2, such as torchvision's, "
    "give other features"
)


def load_baseline(layout: Layout, arrays: Arrays, model: Network | None) -> tuple[BaselineSpec, Weights, ImportReport]:
    """Convert the arrays of a checkpoint to the weights of a network.

    Args:
        layout: Their layout.
        arrays: The arrays by their names in the file, without wrappers.
        model: The network to load into; None for that of the checkpoint. A ResNet initializes the trunk of other networks.

    Returns:
        The network, its weights, and the report. If the checkpoint has those of outputs that only training needs, they are there.

    Raises:
        HRNetError: If an entry is missing, has a wrong shape, or is of another network than `model`.
    """
    arrays = layout.renamed(arrays)
    if isinstance(model, BaselineSpec) and layout.initializes(model):
        notes = (STRIDE_NOTE,) if style_of(model) == CAFFE else ()
        return _loaded(model, arrays, layout.trunk_entries(model), ignored=layout.ignored, notes=notes)
    if model is None:
        spec = layout.infer(arrays)
        _check_size(spec, arrays)
    elif isinstance(model, layout.kind):
        layout = layout if layout.covers(model) else official_layout(model)
        spec = dataclasses.replace(model, classes=rows(arrays, layout.classes) - layout.background)
    else:
        raise HRNetError(f"the checkpoint is a {layout.kind.title}, but `model` is {model.name}; omit `model` to infer it")
    entries, further = layout.entries(spec), layout.entries(spec, auxiliary=True)
    needed = {entry.name for entry in entries}
    has_further = any(entry.name in arrays for entry in further if entry.name not in needed)
    notes = (layout.note,) if layout.note else ()
    return _loaded(spec, arrays, further if has_further else entries, ignored=layout.ignored, notes=notes)


def _check_size(spec: BaselineSpec, arrays: Arrays) -> None:
    """Raise HRNetError, before it is built, if a network is much larger than the arrays that it was inferred from."""
    parameters = sum(layer.cost.parameters for layer in traced(spec).weighted)
    values = sum(array.size for array in arrays.values())
    if parameters > MAX_SIZE_RATIO * values:
        raise HRNetError(f"the checkpoint has {values:,} values, but a {spec.title} of its sizes has {parameters:,} parameters")


def _loaded(
    spec: BaselineSpec, arrays: Arrays, entries: Sequence[Entry], *, ignored: str, notes: tuple[str, ...] = ()
) -> tuple[BaselineSpec, Weights, ImportReport]:
    """The weights of entries; those without an entry have their initial values. Other entries must match `ignored`."""
    official = official_layout(spec)
    needed, loaded = official.entries(spec), {entry.variable for entry in entries}
    weights = model_weights(build_model(spec, auxiliary=not loaded <= {entry.variable for entry in needed}))
    for entry in entries:
        shape = weights[entry.variable].shape
        if entry.name not in arrays:
            raise HRNetError(
                f"the checkpoint has no {entry.name}, expected with shape {official_shape(entry, shape)} for {spec.name}"
            )
        weights[entry.variable] = converted(entry, arrays[entry.name], shape)
    unexpected = sorted(arrays.keys() - {entry.name for entry in entries})
    for name in unexpected:
        if not re.fullmatch(ignored, name):
            raise HRNetError(f"the checkpoint has {name}, which {spec.name} does not have: it is of another network")
    missing = tuple(entry.name for entry in needed if entry.variable not in loaded)
    return spec, weights, ImportReport(spec.name, tuple(entry.name for entry in entries), missing, tuple(unexpected), notes)
