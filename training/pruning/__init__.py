"""Choose which fusion links and residual blocks to remove, and remove them.

plan.py               plan what to remove from a Keras model
prune.py              prune a Keras model by a plan, and estimate the statistics of BatchNorm again
plan_run.py           plan what to remove from a run
prune_run.py          prune a run: plan, take over the weights, fine-tune
removal_order.py      greedy order of removals: least importance per saved cost first
removal_steps.py      what each step removes, and the loss and metric after it
budget.py             how much of the network to keep
budget_search.py      the first network of a removal order within the budget
costs.py              what candidates cost, by a cost model and by measurements
cost_model.py         cost of a network in multiply-adds, or in milliseconds of a profiled device
candidate_latency.py  latency of untrained candidates on this machine
width_matching.py     latency-matched baselines: narrower networks instead of pruned ones
"""
