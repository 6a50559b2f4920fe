"""What a data set contains, and what is wrong with it, before hours are spent on training."""

from training.data.check.check import check_data
from training.data.check.result import DataCheck, Finding, LabelCount, SetSummary, Spread

__all__ = ["DataCheck", "Finding", "LabelCount", "SetSummary", "Spread", "check_data"]
