"""From what the region proposal network says of the anchors to the boxes that the box head looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.anchors import RPN_STDS, Size, anchor_boxes, anchor_counts, clip_boxes, decode_deltas
from hrnet_tf.models.detection.sizes import CANDIDATES, PROPOSALS
from mobile_eval.errors import HRNetError

RPN_IOU = 0.7


@keras.utils.register_keras_serializable("hrnet_tf")
class Proposals(keras.layers.Layer):  # type: ignore[misc]
    """Objectness logits (N, A) and deltas (N, A, 4) to the best boxes (N, R, 4) and their scores (N, R).

    Non-maximum suppression is level by level, among the best `candidates` of each, and the best `count` of all levels remain;
    zeros where there are fewer. keras-cv's ROIGenerator finds the same boxes by a loop of TensorFlow's, which takes far longer
    on a CPU than the one operation under this.
    """

    def __init__(
        self, image_size: Size, count: int = PROPOSALS, candidates: int = CANDIDATES, dtype: Any = "float32", **kwargs: Any
    ):
        super().__init__(dtype=dtype, **kwargs)  # half precision cannot tell pixels apart
        if not 1 <= count <= PROPOSALS:
            raise HRNetError(f"the number of proposals must be from 1 to {PROPOSALS}, got {count}")
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.count = count
        self.candidates = candidates
        self.anchors = anchor_boxes(self.image_size)

    def call(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        logits, deltas = (tf.cast(tf.stop_gradient(values), tf.float32) for values in inputs)
        boxes = clip_boxes(decode_deltas(self.anchors, deltas, RPN_STDS), self.image_size)
        scores = tf.sigmoid(logits)
        counts = anchor_counts(self.image_size)
        levels = zip(tf.split(boxes, counts, axis=1), tf.split(scores, counts, axis=1), strict=True)
        kept = [self._suppressed(*level) for level in levels]
        boxes, scores = (tf.concat(parts, axis=1) for parts in zip(*kept, strict=True))
        missing = max(self.count - scores.shape[1], 0)
        boxes, scores = tf.pad(boxes, [[0, 0], [0, missing], [0, 0]]), tf.pad(scores, [[0, 0], [0, missing]])
        best, places = tf.math.top_k(scores, self.count)
        return tf.gather(boxes, places, batch_dims=1), best

    def _suppressed(self, boxes: Any, scores: Any) -> tuple[Any, Any]:
        """What is left of a level's boxes (N, A, 4): (N, K, 4) and scores (N, K), best first, then zeros."""
        candidates = min(self.candidates, scores.shape[1])
        best, places = tf.math.top_k(scores, candidates)
        boxes, kept = tf.gather(boxes, places, batch_dims=1), min(candidates, self.count)
        best = tf.where(tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1), best, 0.0)  # what has no area is dropped
        found = tf.image.combined_non_max_suppression(
            boxes[:, :, None], best[..., None], kept, kept, RPN_IOU, 0.0, clip_boxes=False
        )
        return found.nmsed_boxes, found.nmsed_scores

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_size": self.image_size, "count": self.count, "candidates": self.candidates}
