"""The scopes of tensorflow/models, research/deeplab, and the names that this package gives to their variables."""

from __future__ import annotations

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
Renames = tuple[tuple[str, str], ...]


def _layer(scope: str, convolution: str, norm: str = "", *, kernel: str = "weights") -> Renames:
    return (
        (f"{scope}/{kernel}$", f"{convolution}.weight"),
        (f"{scope}/biases$", f"{convolution}.bias"),
        *((f"{scope}/BatchNorm/{part}$", f"{norm}.{official}") for part, official in NORM.items()),
    )


def _separable(scope: str, depthwise: str, inner_norm: str, pointwise: str, norm: str) -> Renames:
    return (
        *_layer(f"{scope}_depthwise", depthwise, inner_norm, kernel="depthwise_weights"),
        *_layer(f"{scope}_pointwise", pointwise, norm),
    )


TRUNK = "encoder.model."
BLOCK_SCOPES = (
    *(f"entry_flow/block{block}/unit_1" for block in range(1, 6)),
    *(f"middle_flow/block1/unit_{unit}" for unit in range(1, 17)),
    *(f"exit_flow/block{block}/unit_1" for block in (1, 2)),
)
BLOCK, STACK = rf"({TRUNK}blocks_\d+)/".replace(".", r"\."), r"\1.stack.conv\2."
RENAMES: Renames = (  # in this order, each at the beginning of a name
    *_layer("xception_71/entry_flow/conv1_1", f"{TRUNK}stem_0.conv", f"{TRUNK}stem_0.bn"),
    *_layer("xception_71/entry_flow/conv1_2", f"{TRUNK}stem_1.conv", f"{TRUNK}stem_1.bn"),
    *((f"xception_71/{scope}/xception_module/", f"{TRUNK}blocks_{index}/") for index, scope in enumerate(BLOCK_SCOPES)),
    *_layer(f"{BLOCK}shortcut", r"\1.shortcut.conv", r"\1.shortcut.bn"),
    *_separable(rf"{BLOCK}separable_conv(\d)", f"{STACK}conv_dw", f"{STACK}bn_dw", f"{STACK}conv_pw", f"{STACK}bn_pw"),
    *_layer("aspp0", "decoder.aspp.0.convs.0.0", "decoder.aspp.0.convs.0.1"),
    *_separable(r"aspp(\d)", *(rf"decoder.aspp.0.convs.\1.{part}" for part in ("0.0", "0.bn", "0.1", "1"))),
    *_layer("image_pooling", "decoder.aspp.0.convs.4.1", "decoder.aspp.0.convs.4.2"),
    *_layer("concat_projection", "decoder.aspp.0.project.0", "decoder.aspp.0.project.1"),
    *_layer("decoder/feature_projection0", "decoder.block1.0", "decoder.block1.1"),
    *_separable("decoder/decoder_conv0", *(f"decoder.block2.{part}" for part in ("0.0", "0.bn", "0.1", "1"))),
    *_separable("decoder/decoder_conv1", *(f"decoder.block3.{part}" for part in ("0.0", "0.bn", "0.1", "1"))),
    *_layer("logits/semantic", "segmentation_head.0"),
)
