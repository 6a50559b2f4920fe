"""Running a training: model.fit, checkpoints, history, devices."""
