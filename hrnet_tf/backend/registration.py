"""Register the package's classes with Keras, so that `import hrnet_tf` suffices to load a saved model.

Keras looks up custom classes by name among those that are registered. The classes themselves need Keras, so that proxies are
registered in their place as soon as the user imports Keras. A proxy imports its class when a model is loaded.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from hrnet_tf.backend.choice import KERAS_3, TF_KERAS, choose_for_loading
from mobile_eval.typed import JsonObject

PACKAGE = "hrnet_tf"  # the name of the package that the classes are registered with
CLASSES = {
    "HRNetModel": "hrnet_tf.models.functional",
    "KaimingNormal": "hrnet_tf.models.layers",
    "StemPadding": "hrnet_tf.models.layers",
    "Upsampling": "hrnet_tf.models.layers",
    "UnbiasedBatchNormalization": "hrnet_tf.models.layers",
    "RegionMeans": "hrnet_tf.models.baselines.attention",
    "PixelAttention": "hrnet_tf.models.baselines.attention",
    "AdaptiveMean": "hrnet_tf.models.baselines.resampling",
    "Resize": "hrnet_tf.models.baselines.resampling",
    "Scaling": "hrnet_tf.models.baselines.resampling",
    "UnitGate": "hrnet_tf.models.gates",
    "HardConcreteGate": "hrnet_tf.models.gates",
    "Proposals": "hrnet_tf.models.detection.proposals",
    "RoIAlign": "hrnet_tf.models.detection.roi_align",
    "HeatmapMSE": "training.tasks.pose.losses",
    "HeatmapOHKM": "training.tasks.pose.losses",
    "PixelCrossEntropy": "training.tasks.segmentation.losses",
    "ClassCrossEntropy": "training.tasks.classification.losses",
}
WITHOUT_PACKAGE = ("HRNetModel", "KaimingNormal")  # HDF5 files store models and initializers without the package


def register_classes() -> None:
    """Register the proxies with each Keras that is imported, now or later."""
    for name in (TF_KERAS, KERAS_3):
        if name in sys.modules:
            _register(sys.modules[name])
    if not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as the other finders do, and registers the proxies after it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in (TF_KERAS, KERAS_3):
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _register(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _register(keras: ModuleType) -> None:
    objects = keras.utils.get_custom_objects()
    for name, module in CLASSES.items():
        proxy = _proxy(keras, name, module)
        objects.setdefault(f"{PACKAGE}>{name}", proxy)
        if name in WITHOUT_PACKAGE:
            objects.setdefault(name, proxy)


def _proxy(keras: ModuleType, name: str, module: str) -> type:
    """A class whose `from_config` is that of the class `name` in `module`."""

    def from_config(kind: type, config: JsonObject, custom_objects: Mapping[str, object] | None = None) -> object:
        choose_for_loading(keras.__name__)
        with keras.utils.custom_object_scope(dict(custom_objects or {})):
            return getattr(importlib.import_module(module), name).from_config(config)

    return type(name, (), {"from_config": classmethod(from_config)})
