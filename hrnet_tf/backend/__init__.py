"""The Keras that the package runs on: tf_keras or Keras 3."""
