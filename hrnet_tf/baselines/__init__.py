"""The networks that HRNet is compared with."""
