"""The class of the models that `build_model` makes."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasHistory, Tensor
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.spec.architectures import Network
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject

CALLBACKS_POSITION = 5  # of `callbacks` among the positional arguments of `fit`


@keras.utils.register_keras_serializable("hrnet_tf")
class HRNetModel(keras.Model):  # type: ignore[misc]
    """The functional model of a network; `spec` is its spec, also after saving, loading and cloning.

    It refuses optimizers, losses and callbacks of the Keras that is not active, with HRNetError.

    Example:
        >>> from hrnet_tf.networks import HRNet
        >>> model = HRNet("pose-small-v1", outputs=5)
        >>> isinstance(model, HRNetModel), model.spec.classes
        (True, 5)
    """

    @property
    def spec(self) -> Network:
        """The spec of the network."""
        return spec_of(self)

    @property
    def pyramid_outputs(self) -> dict[str, Tensor]:
        """The outputs of `HRNetBackbone` by level: "P2" (N, H/4, W/4, width) to "P5", for a head of the user's own."""
        if not isinstance(self.output, dict):
            raise HRNetError(f"only the models of HRNetBackbone have `pyramid_outputs`; {self.name} has a head")
        return dict(self.output)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        check_same_keras(*args, *kwargs.values())
        super().compile(*args, **kwargs)

    def get_compile_config(self) -> JsonObject | None:
        config: JsonObject | None = super().get_compile_config()
        return config

    def compile_from_config(self, config: JsonObject) -> None:  # Keras's own does not compile models that define `compile`
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args: Any, **kwargs: Any) -> KerasHistory:
        callbacks = args[CALLBACKS_POSITION] if len(args) > CALLBACKS_POSITION else kwargs.get("callbacks")
        check_same_keras(callbacks)
        return super().fit(*args, **kwargs)
