"""Lets either Keras load saved models after `import hrnet_tf` alone.

Keras finds a model's own classes by name among those that were registered. Registering these means importing Keras, so that
stand-ins are registered in their place as soon as the user imports Keras; a stand-in imports its class when a model is loaded.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from hrnet_tf.backend.choice import KERAS_3, TF_KERAS, open_for_loading

PACKAGE = "hrnet_tf"  # as the classes themselves are registered
CLASSES = {
    "HRNetModel": "hrnet_tf.models.functional",
    "KaimingNormal": "hrnet_tf.models.layers",
    "Upsampling": "hrnet_tf.models.layers",
    "UnbiasedBatchNormalization": "hrnet_tf.models.layers",
    "UnitGate": "hrnet_tf.models.gates",
    "HardConcreteGate": "hrnet_tf.models.gates",
    "Proposals": "hrnet_tf.models.detection.proposals",
    "RoIAlign": "hrnet_tf.models.detection.roi_align",
    "HeatmapMSE": "training.tasks.pose.losses",
    "HeatmapOHKM": "training.tasks.pose.losses",
    "PixelCrossEntropy": "training.tasks.segmentation.losses",
    "ClassCrossEntropy": "training.tasks.classification.losses",
}
WITHOUT_PACKAGE = ("HRNetModel", "KaimingNormal")  # HDF5 files keep the bare names of models and initializers


def register_classes() -> None:
    """Register the stand-ins with each Keras that is imported already, and with the others once they are."""
    for name in (TF_KERAS, KERAS_3):
        if name in sys.modules:
            _register(sys.modules[name])
    if not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras where the other finders do, and registers the stand-ins after it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in (TF_KERAS, KERAS_3):
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        found = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if found and found.loader:
            execute = found.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _register(module)

            found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found


def _register(keras: ModuleType) -> None:
    objects = keras.utils.get_custom_objects()
    for name, module in CLASSES.items():
        stand_in = _stand_in(keras, name, module)
        objects.setdefault(f"{PACKAGE}>{name}", stand_in)
        if name in WITHOUT_PACKAGE:
            objects.setdefault(name, stand_in)


def _stand_in(keras: ModuleType, name: str, module: str) -> type:
    """A class that makes the objects of the class `name` in `module` from their configurations."""

    def from_config(kind: type, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        open_for_loading(keras.__name__)
        with keras.utils.custom_object_scope(dict(custom_objects or {})):
            return getattr(importlib.import_module(module), name).from_config(config)

    return type(name, (), {"from_config": classmethod(from_config)})
