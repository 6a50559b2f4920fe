"""The networks that HRNet is compared with: a line for each kind."""

from __future__ import annotations

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.cpn import CPNSpec
from hrnet_tf.spec.baselines.faster_rcnn import FasterRCNNSpec
from hrnet_tf.spec.baselines.hourglass import HourglassSpec
from hrnet_tf.spec.baselines.resnet import ResNetSpec
from hrnet_tf.spec.baselines.segmentation.deeplabv3 import DeepLabV3Spec
from hrnet_tf.spec.baselines.segmentation.deeplabv3plus import DeepLabV3PlusSpec
from hrnet_tf.spec.baselines.segmentation.pspnet import PSPNetSpec
from hrnet_tf.spec.baselines.segmentation.unetplusplus import UNetPlusPlusSpec
from hrnet_tf.spec.baselines.segmentation.unetplusplus_smp import UNetPlusPlusSmpSpec
from hrnet_tf.spec.baselines.simple_baseline import SimpleBaselineSpec

BASELINES: tuple[type[BaselineSpec], ...] = (
    SimpleBaselineSpec,
    CPNSpec,
    HourglassSpec,
    ResNetSpec,
    DeepLabV3Spec,
    PSPNetSpec,
    DeepLabV3PlusSpec,
    UNetPlusPlusSpec,
    UNetPlusPlusSmpSpec,
    FasterRCNNSpec,
)
