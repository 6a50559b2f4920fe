"""Networks for segmentation that HRNet is compared with."""
