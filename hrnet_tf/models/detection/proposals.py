"""The layer that turns the outputs of the region proposal network into proposals for the box head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasDType, Tensor
from hrnet_tf.models.detection.anchors import anchor_boxes, anchor_counts, clip_boxes, decode_deltas
from hrnet_tf.spec.detection import CANDIDATES, PROPOSALS
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.constants import RPN_IOU, RPN_STDS
from mobile_eval.typed import JsonObject, Size


@keras.utils.register_keras_serializable("hrnet_tf")
class Proposals(keras.layers.Layer):  # type: ignore[misc]
    """Select the best boxes by non-maximum suppression.

    Suppression runs level by level among the best `candidates` of each; the best `count` of all levels remain, padded with
    zeros. keras-cv's ROIGenerator selects the same boxes in a loop, which is much slower on a CPU than the single operation
    that this layer uses.

    Args:
        image_size: (height, width) of the input in pixels.
        count: Number of proposals, 1 to 1000.
        candidates: Number of candidates per level.
        rounds_up: Whether the size of P6 is rounded up, see `level_sizes`.
        dtype: Data type; half precision is too coarse for pixel coordinates.

    Call arguments:
        inputs: Objectness logits (N, A) and deltas (N, A, 4).

    Returns:
        Boxes (N, count, 4), best first, and their scores (N, count).
    """

    def __init__(
        self,
        image_size: Size,
        count: int = PROPOSALS,
        candidates: int = CANDIDATES,
        rounds_up: bool = False,
        dtype: KerasDType = "float32",
        **kwargs: Any,
    ):
        super().__init__(dtype=dtype, **kwargs)
        if not 1 <= count <= PROPOSALS:
            raise HRNetError(f"the number of proposals must be from 1 to {PROPOSALS}, got {count}")
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.count = count
        self.candidates = candidates
        self.rounds_up = rounds_up
        self.anchors = anchor_boxes(self.image_size, rounds_up=rounds_up)

    def call(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        logits, deltas = (tf.cast(tf.stop_gradient(values), tf.float32) for values in inputs)
        boxes = clip_boxes(decode_deltas(self.anchors, deltas, RPN_STDS), self.image_size)
        scores = tf.sigmoid(logits)
        counts = anchor_counts(self.image_size, rounds_up=self.rounds_up)
        levels = zip(tf.split(boxes, counts, axis=1), tf.split(scores, counts, axis=1), strict=True)
        selected = [self._suppress(*level) for level in levels]
        boxes, scores = (tf.concat(parts, axis=1) for parts in zip(*selected, strict=True))
        missing = max(self.count - scores.shape[1], 0)
        boxes, scores = tf.pad(boxes, [[0, 0], [0, missing], [0, 0]]), tf.pad(scores, [[0, 0], [0, missing]])
        best, indices = tf.math.top_k(scores, self.count)
        return tf.gather(boxes, indices, batch_dims=1), best

    def _suppress(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """One level's boxes (N, A, 4) and scores (N, A) to those that remain: (N, K, 4) and (N, K), best first, then zeros."""
        candidates = min(self.candidates, scores.shape[1])
        limit = min(candidates, self.count)
        best, indices = tf.math.top_k(scores, candidates)
        boxes = tf.gather(boxes, indices, batch_dims=1)
        best = tf.where(tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1), best, 0.0)  # drop boxes without area
        result = tf.image.combined_non_max_suppression(
            boxes[:, :, None], best[..., None], limit, limit, RPN_IOU, 0.0, clip_boxes=False
        )
        return result.nmsed_boxes, result.nmsed_scores

    def get_config(self) -> JsonObject:
        config = {"image_size": self.image_size, "count": self.count, "candidates": self.candidates, "rounds_up": self.rounds_up}
        return {**super().get_config(), **config}
