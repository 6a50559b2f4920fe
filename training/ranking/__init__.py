"""How much a network needs each of its units (fusion links, and residual blocks where asked), measured in several ways.

Each way is `score(network, data) -> {unit: importance}`, higher is needed more:

    leave_one_out.py   what the loss becomes without the unit
    taylor.py          how the loss changes with the unit's gate, to first order, in one pass
    learned.py         gates that pay for being open, learned by `model.fit` (L0 by hard concrete, L1)
    control.py         random numbers, which every other way has to beat

`held.py` holds the persons that they look at, `agreement.py` says how far the ways, and two halves of the persons,
agree; `ranking.py` does all of it for a run.
"""
