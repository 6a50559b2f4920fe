"""The Keras models of the networks that HRNet is compared with."""
