"""Outputs of reference implementations, and the weights that they were computed with."""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(os.environ.get("HRNET_GOLDEN", Path(__file__).parents[3] / "shared" / "reference" / "golden"))
