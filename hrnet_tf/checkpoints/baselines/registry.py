"""The known layouts of the networks that HRNet is compared with: a line for each."""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.cpn import CPN
from hrnet_tf.checkpoints.baselines.deeplabv3 import DEEPLABV3, DEEPLABV3_OPENMMLAB, DEEPLABV3_TORCHVISION
from hrnet_tf.checkpoints.baselines.deeplabv3plus import DEEPLABV3PLUS, XCEPTION_TENSORFLOW, XCEPTION_TIMM
from hrnet_tf.checkpoints.baselines.faster_rcnn import FASTER_RCNN_OPENMMLAB, FASTER_RCNN_TORCHVISION
from hrnet_tf.checkpoints.baselines.hourglass import AUTHORS, BEARPAW
from hrnet_tf.checkpoints.baselines.layout import Layout
from hrnet_tf.checkpoints.baselines.pspnet import PSPNET, PSPNET_OPENMMLAB
from hrnet_tf.checkpoints.baselines.resnet import RESNET
from hrnet_tf.checkpoints.baselines.simple_baseline import SIMPLE_BASELINE
from hrnet_tf.checkpoints.baselines.unetplusplus import UNETPLUSPLUS, UNETPLUSPLUS_SMP
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec

LAYOUTS: tuple[Layout, ...] = (  # in the order in which they are tried; of each kind, the one that is exported first
    SIMPLE_BASELINE,
    DEEPLABV3,
    DEEPLABV3_TORCHVISION,
    DEEPLABV3_OPENMMLAB,
    PSPNET,
    PSPNET_OPENMMLAB,
    DEEPLABV3PLUS,
    XCEPTION_TIMM,
    XCEPTION_TENSORFLOW,
    UNETPLUSPLUS,
    UNETPLUSPLUS_SMP,
    CPN,
    BEARPAW,
    AUTHORS,
    FASTER_RCNN_OPENMMLAB,
    FASTER_RCNN_TORCHVISION,
    RESNET,  # last: others contain a ResNet, too
)


def find_layout(arrays: Arrays) -> Layout | None:
    """Return the layout of arrays by their names in the file, without wrappers; None if they are of none."""
    return next((layout for layout in LAYOUTS if layout.matches(layout.renamed(arrays))), None)


def official_layout(spec: BaselineSpec) -> Layout:
    """Return the layout in which a network is exported."""
    return next(layout for layout in LAYOUTS if isinstance(spec, layout.kind) and layout.covers(spec))


def known_systems() -> str:
    """Return the names of the networks whose layouts are known, for messages."""
    return ", ".join(dict.fromkeys(layout.kind.title for layout in LAYOUTS))
