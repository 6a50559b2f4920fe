"""Exact selection of links, blocks and widths by mixed-integer programming.

search.py           the selection within a budget, of latency by measuring and selecting again
candidates.py       the measured loss of candidate networks, and importance fitted to it
select.py           the network within a limit of cost or links that loses the least importance, and Pareto fronts
network_program.py  the mixed-integer program of a network
linear_program.py   mixed-integer programs, solved by HiGHS
importance.py       what is lost by removing links, blocks and channels; the widths of a group
"""
