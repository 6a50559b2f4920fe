"""Networks that HRNet is compared with."""
