"""Choose which fusion links and residual blocks to remove, and remove them.

removal_order.py      greedy order of removals: least importance per saved cost first
cost_model.py         cost of a network in multiply-adds, or in milliseconds of a profiled device
candidate_latency.py  latency of untrained candidates on this machine
budget.py             how much of the network to keep
budget_search.py      the first network of a removal order within the budget
removal_steps.py      what each step removes, and the loss and metric after it
plan.py               all of these, for a network or a run
prune.py              prune a run: plan, take over the weights, fine-tune
width_matching.py     latency-matched baselines: narrower networks instead of pruned ones
"""
