"""The networks that HRNet is compared with, as data.

A network is written once, in `BaselineSpec.forward`, by the layers of `layers.Layers`. What runs it decides what comes out:

    hrnet_tf.models.keras_layers   the Keras model, with or without BatchNorm folded
    trace                                    parameters, multiply-adds, memory, and the variables that checkpoints have

A system is a spec in this folder, the names of its published weights in `hrnet_tf.checkpoints.baselines`, and a line in the
registry of each.
"""
