"""COCO scores by pycocotools, the reference implementation."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np


def pycocotools_scores(
    coco: dict[str, Any], results: list[dict[str, Any]], sigmas: Sequence[float] | None = None
) -> list[float | None]:
    """The ten scores of keypoints with `sigmas`, or the twelve of boxes; None where pycocotools has -1, no annotations."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(coco)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "bbox" if sigmas is None else "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if score == -1 else float(score) for score in evaluation.stats]


def assert_same_scores(result: Sequence[float | None], expected: Sequence[float | None], message: str = "") -> None:
    """Equal to 1e-9, and None in the same places."""
    numbers = [[np.nan if score is None else score for score in scores] for scores in (result, expected)]
    np.testing.assert_allclose(*numbers, rtol=0, atol=1e-9, err_msg=message)
