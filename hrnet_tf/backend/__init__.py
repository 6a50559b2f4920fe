"""Which Keras the package runs on: tf_keras or Keras 3."""
