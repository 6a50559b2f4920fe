"""The Keras model that `build_model` makes: a functional one, which does not take objects of the other Keras."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import keras

CALLBACKS = 5  # their place among the arguments of `fit`


@keras.utils.register_keras_serializable("hrnet_tf")
class HRNetModel(keras.Model):  # type: ignore[misc]
    """As `keras.Model`, but HRNetError says which Keras is active where an optimizer, a loss or a callback is of the other."""

    def compile(self, *arguments: Any, **named: Any) -> None:
        check_same_keras(*arguments, *named.values())
        super().compile(*arguments, **named)

    def get_compile_config(self) -> Any:
        return super().get_compile_config()

    def compile_from_config(self, config: Any) -> None:  # Keras's own leaves models that define `compile` without
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *arguments: Any, **named: Any) -> Any:
        callbacks = arguments[CALLBACKS] if len(arguments) > CALLBACKS else named.get("callbacks")
        check_same_keras(callbacks)
        return super().fit(*arguments, **named)
