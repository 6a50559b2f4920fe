"""Top-down inference: keypoints in one box, or in many, with reading, cropping and running overlapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.flip_pairs import AUTO, resolve_flip_pairs, unknown_pairs_message
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP, Array, Image, box_matrix, heatmap_pixel
from mobile_eval.image.image_file import BoxedItem, read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.keypoints.decode import Decoding, Heatmaps, decode_dark, decode_heatmaps, decode_udp, keypoints_in_image
from mobile_eval.model.description import HEATMAPS
from mobile_eval.runtime.tflite_model import Stored, TFLiteModel

DECODERS = {"quarter": decode_heatmaps, "dark": decode_dark, "udp": decode_udp}


@dataclass(frozen=True)
class DecodingOptions:
    """How heatmaps become keypoints.

    Args:
        flip: Average the heatmaps with those of the mirrored crop (flip test).
        decoding: Decoding of the heatmaps (see `mobile_eval.keypoints.decode`).
        flip_pairs: Keypoints that change places in the mirrored crop, such as "left_eye:right_eye,2:5", "none" or "auto" (see
            `mobile_eval.datasets.flip_pairs`); they are added to those of the model's description.
    """

    flip: bool = False
    decoding: Decoding = "model"
    flip_pairs: str = AUTO

    def __post_init__(self) -> None:
        checked_decoding(self.decoding)
        if self.flip_pairs != AUTO and not self.flip:
            raise HRNetError(f"`flip_pairs` is {self.flip_pairs!r}, which is used by `flip` alone: give both or neither")

    def check(self, model: TFLiteModel) -> None:
        """Raise HRNetError if these options need heatmaps or flip pairs that `model` does not have."""
        if model.description.output.kind != HEATMAPS and (self.flip or self.decoding not in ("model", "quarter")):
            raise HRNetError(
                f"{model.path.name} decodes in its graph: `flip` and `decoding` dark or udp need its heatmaps; convert it without"
                " `decode`"
            )
        if self.flip:
            self.flip_order(model)

    def flip_order(self, model: TFLiteModel) -> NDArray[np.intp]:
        """Return the index (K,) that reorders the keypoints of a mirrored crop; HRNetError if it is not known."""
        category = model.description.category
        pairs = resolve_flip_pairs(self.flip_pairs, category.flip_pairs, category.joints)
        if pairs is None:
            raise HRNetError(f"{model.path.name}: {unknown_pairs_message(category.joints)}")
        return replace(category, flip_pairs=pairs).mirrored

    def resolved(self, model: TFLiteModel) -> DecodingOptions:
        """Return these options with the decoding "model" replaced by the one that `model` was trained for."""
        if self.decoding != "model":
            return self
        udp = model.description.output.kind == HEATMAPS and model.description.input.geometry == UDP
        return replace(self, decoding="udp" if udp else "quarter")

    def keypoints(self, model: TFLiteModel, crop: Stored) -> Array:
        """Predict keypoints in one crop.

        Args:
            model: The model.
            crop: The crop (1, H, W, 3) as the model stores it (see `TFLiteModel.to_input`).

        Returns:
            Keypoints (1, K, 3): x and y in heatmap pixels, and score.
        """
        decoding = self.resolved(model).decoding
        if not self.flip and decoding == DecodingOptions().resolved(model).decoding:
            return model.decode(model.run(crop))
        heatmaps = model.output(crop)
        if self.flip:
            mirrored = model.output(np.ascontiguousarray(crop[:, :, ::-1]))
            shift = model.description.input.geometry != UDP
            heatmaps = np.float32(0.5) * (heatmaps + flip_back(mirrored, self.flip_order(model), shift=shift))
        return DECODERS[decoding](heatmaps)


def checked_decoding(name: str) -> Decoding:
    """Return the decoding of that name; HRNetError if there is none."""
    for decoding in get_args(Decoding):
        if name == decoding:
            chosen: Decoding = decoding
            return chosen
    raise HRNetError(f"`decoding` must be one of {', '.join(get_args(Decoding))}, got {name!r}")


def flip_back(heatmaps: Heatmaps, order: NDArray[np.intp], *, shift: bool = True) -> Heatmaps:
    """Turn the heatmaps of mirrored crops into those of the crops (`flip_back` of the official code).

    Args:
        heatmaps: Heatmaps (N, H, W, K) of mirrored crops.
        order: Index (K,) that exchanges left and right keypoints.
        shift: Move the maps right by one pixel, as the official code does: pixel centers of a mirrored grid of stride 4 do not
            coincide with the grid's. In the UDP geometry they do.

    Returns:
        Heatmaps (N, H, W, K).
    """
    flipped = heatmaps[:, :, ::-1][..., order]
    if shift:
        flipped[:, :, 1:] = flipped[:, :, :-1].copy()
    return flipped


def predict_box(
    model: TFLiteModel, image: NDArray[np.uint8], box: Sequence[float], options: DecodingOptions | None = None
) -> Array:
    """Predict the keypoints of the instance in a box.

    Args:
        model: A pose or landmarks model.
        image: Image (H, W, 3), RGB.
        box: Box (x, y, width, height) in pixels.
        options: Flip test and decoding.

    Returns:
        Keypoints (K, 3): x and y in image pixels, and score.
    """
    return predict_crop(model, *crop_input(model, image, box), options or DecodingOptions())


def predict_instances(
    model: TFLiteModel, instances: Sequence[BoxedItem], options: DecodingOptions | None = None
) -> Iterator[Array]:
    """Predict the keypoints of many instances; images are read and cropped in background threads.

    Args:
        model: A pose or landmarks model.
        instances: Boxes in images. An image is read once for consecutive boxes.
        options: Flip test and decoding.

    Yields:
        Keypoints (K, 3) of each instance in turn, as `predict_box` returns them.
    """
    options = options or DecodingOptions()
    options.check(model)
    groups = (list(group) for _, group in groupby(instances, key=lambda instance: instance.image_path))

    def crops(group: list[BoxedItem]) -> list[tuple[Stored, Array]]:
        image = read_item(group[0])
        return [crop_input(model, image, instance.box) for instance in group]

    for group in prefetch(crops, groups):
        for crop, matrix in group:
            yield predict_crop(model, crop, matrix, options)


def crop_input(model: TFLiteModel, image: Image, box: Sequence[float] | Array) -> tuple[Stored, Array]:
    """Return the model's input (1, height, width, 3) for a box of an image, and the matrix (2, 3) from image to crop."""
    matrix = box_matrix(box, model.input_size, model.description.input.geometry)
    return model.to_input(warp_crop(image, matrix, model.input_size)[None]), matrix


def predict_crop(model: TFLiteModel, crop: Stored, matrix: Array, options: DecodingOptions) -> Array:
    """Predict the keypoints (K, 3) in image pixels from what `crop_input` returned."""
    keypoints = options.keypoints(model, crop)
    output = model.description.output
    keypoints[..., :2] += output.offset
    pixel = heatmap_pixel(model.input_size, model.description.input.geometry, output.stride)
    return keypoints_in_image(keypoints, matrix[None], pixel)[0]
