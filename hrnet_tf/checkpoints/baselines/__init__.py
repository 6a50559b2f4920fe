"""Published weights of the networks that HRNet is compared with.

A `layout.Layout` tells how a file is recognized, which network it is of, and what its entries are called. Which entries there are
follows from the network itself (`hrnet_tf.spec.baselines.trace`).
"""
