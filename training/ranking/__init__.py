"""How much a network needs each of its fusion links and residual blocks ("units").

Importance is measured by several methods, each a function `method(network, data) -> {unit: importance}`. A unit with a higher
importance is needed more.

    methods.py         leave-one-out, Taylor expansion, and random scores as a control
    channels.py        importance of the channels of width groups, by Taylor expansion
    first_order.py     the sizes of first-order terms of the loss
    masks.py           scores whose sums predict the loss when many units and channels are missing
    learned_gates.py   gates with a penalty for being open, learned by `model.fit` (L0 by hard concrete, L1)
    gated_network.py   a trained network with a gate on each unit
    data.py            the examples that importance is measured on: what the methods need of them
    task_data.py       examples of a task's data set, for runs
    keras_data.py      examples of any data set that `fit` takes, for Keras models
    scores.py          scores, and the rank correlation between them
    rank.py            rank a Keras model, or a run on disk, by several methods
"""
