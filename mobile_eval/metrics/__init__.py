"""Metrics of keypoints: PCK here, AP and AR (OKS) as COCO computes them."""
