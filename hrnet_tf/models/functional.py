"""The class of the models that `build_model` makes."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasHistory
from mobile_eval.typed import JsonObject

CALLBACKS_POSITION = 5  # of `callbacks` among the positional arguments of `fit`


@keras.utils.register_keras_serializable("hrnet_tf")
class HRNetModel(keras.Model):  # type: ignore[misc]
    """A `keras.Model` that refuses optimizers, losses and callbacks of the Keras that is not active, with HRNetError."""

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
