"""People in their boxes to keypoints: the way of one person, and of very many with reading, cropping and running overlapped.

The official way is optional: the heatmaps of the mirrored crop mirrored back and averaged in (`flip`), and decoding
that knows the heatmaps are Gaussian (`DARK`, arXiv 1910.06278). Networks of the geometry UDP are decoded as they are by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.flip_pairs import AUTO, resolve_flip_pairs, unknown_pairs_message
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP as UDP_GEOMETRY
from mobile_eval.image.geometry import Array, box_matrix, heatmap_pixel
from mobile_eval.image.prefetch import ahead
from mobile_eval.image.preprocess import ImageItem, read_item, warp_crop
from mobile_eval.keypoints.decode import decode_dark, decode_heatmaps, decode_udp, keypoints_in_image
from mobile_eval.model.description import HEATMAPS
from mobile_eval.runtime.tflite_model import TFLiteModel

OWN, QUARTER, DARK, UDP = DECODINGS = ("own", "quarter", "dark", "udp")
DECODERS = {QUARTER: decode_heatmaps, DARK: decode_dark, UDP: decode_udp}

Box = Sequence[float]


class BoxedItem(ImageItem, Protocol):
    """A person to look for: a box (x, y, width, height) in an image."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...


@dataclass(frozen=True)
class PoseOptions:
    """How heatmaps become keypoints: with the mirrored crop's averaged in or not, and by which of DECODINGS.

    OWN is that of the model's geometry: UDP's, or else QUARTER. `flip_pairs` are keypoints that change places in the mirrored
    crop, as typed ("a:b,2:5", "none" or "auto", see `datasets.sides`), beside those that the model's description tells.
    """

    flip: bool = False
    decoding: str = OWN
    flip_pairs: str = AUTO

    def __post_init__(self) -> None:
        if self.decoding not in DECODINGS:
            raise HRNetError(f"no decoding named {self.decoding!r}; there are {', '.join(DECODINGS)}")
        if self.flip_pairs != AUTO and not self.flip:
            raise HRNetError("`flip_pairs` goes with `flip`, the test with mirrored images")

    def check(self, model: TFLiteModel) -> None:
        """Raise HRNetError where these options need heatmaps and `model` gives out none, or pairs and none are known."""
        if model.description.output.kind != HEATMAPS and (self.flip or self.decoding not in (OWN, QUARTER)):
            raise HRNetError(f"{model.path.name} decodes in its graph: flip test and {DARK} or {UDP} decoding need its heatmaps")
        if self.flip:
            self.mirrored(model)

    def mirrored(self, model: TFLiteModel) -> NDArray[np.intp]:
        """Index (K,) that reorders the model's keypoints into those of the mirrored crop; HRNetError where it is not known."""
        category = model.description.category
        pairs = resolve_flip_pairs(self.flip_pairs, category.flip_pairs, category.joints)
        if pairs is None:
            raise HRNetError(f"{model.path.name}: {unknown_pairs_message(category.joints)}")
        return replace(category, flip_pairs=pairs).mirrored

    def of(self, model: TFLiteModel) -> PoseOptions:
        """The same, with the decoding that the model's own is by name."""
        if self.decoding != OWN:
            return self
        udp = model.description.output.kind == HEATMAPS and model.description.input.geometry == UDP_GEOMETRY
        return replace(self, decoding=UDP if udp else QUARTER)

    def keypoints(self, model: TFLiteModel, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Keypoints (1, K, 3) in heatmap pixels of one crop (1, H, W, 3), as the model stores it."""
        decoding = self.of(model).decoding
        if not self.flip and decoding == PoseOptions().of(model).decoding:
            return model.decode(model.run(stored))
        heatmaps = model.output(stored)
        if self.flip:
            mirrored = model.output(np.ascontiguousarray(stored[:, :, ::-1]))
            shift = model.description.input.geometry != UDP_GEOMETRY
            heatmaps = np.float32(0.5) * (heatmaps + unmirrored(mirrored, self.mirrored(model), shift=shift))
        return DECODERS[decoding](heatmaps)


def unmirrored(heatmaps: NDArray[np.float32], joints: NDArray[np.intp], *, shift: bool = True) -> NDArray[np.float32]:
    """Heatmaps (N, H, W, K) of mirrored crops as those of the crops; `joints` (K,) reorders left and right.

    With `shift` moved right by a pixel, as in the official code: the centres of a mirrored grid of stride 4 do not meet the
    grid's. Those of the geometry UDP do.
    """
    back = heatmaps[:, :, ::-1][..., joints]
    if not shift:
        return back
    back[:, :, 1:] = back[:, :, :-1].copy()
    return back


def predict_box(
    model: TFLiteModel, image: NDArray[np.uint8], box: Box, options: PoseOptions | None = None
) -> NDArray[np.float64]:
    """Keypoints (K, 3), x and y in image pixels and score, of the person in `box` of `image` (H, W, 3) RGB."""
    return _located(model, *_cropped(model, image, box), options or PoseOptions())


def predict_instances(
    model: TFLiteModel, people: Sequence[BoxedItem], options: PoseOptions | None = None
) -> Iterator[NDArray[np.float64]]:
    """Keypoints (K, 3) as `predict_box` gives them, of each of `people` in turn.

    Images are read once for people of one image that follow each other, and cropped in other threads than the one that runs
    the model.
    """
    options = options or PoseOptions()
    options.check(model)
    of_images = (list(group) for _, group in groupby(people, key=lambda one: one.image_path))

    def crops(group: list[BoxedItem]) -> list[tuple[NDArray[Any], Array]]:
        image = read_item(group[0])
        return [_cropped(model, image, one.box) for one in group]

    for cropped in ahead(crops, of_images):
        for stored, matrix in cropped:
            yield _located(model, stored, matrix, options)


def _cropped(model: TFLiteModel, image: NDArray[np.uint8], box: Box) -> tuple[NDArray[Any], Array]:
    matrix = box_matrix(box, model.input_size, model.description.input.geometry)
    return model.to_input(warp_crop(image, matrix, model.input_size)[None]), matrix


def _located(model: TFLiteModel, stored: NDArray[Any], matrix: Array, options: PoseOptions) -> NDArray[np.float64]:
    found = options.keypoints(model, stored)
    found[..., :2] += model.description.output.offset
    pixel = heatmap_pixel(model.input_size, model.description.input.geometry)
    return np.asarray(keypoints_in_image(found, matrix[None], pixel)[0])
