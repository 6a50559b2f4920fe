"""The options of training's commands, as typer takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.options import Category as Category
from mobile_eval.cli.options import Exif as Exif
from mobile_eval.cli.options import MaxPixels as MaxPixels
from mobile_eval.cli.options import Strict as Strict

OF_KEYPOINTS, OF_MASKS = "Data of pose, landmarks and detection", "Data of segmentation"
TrainAnnotations = Annotated[
    Path | None,
    typer.Option(
        help="Annotations to learn from, as COCO JSON; of faces also WFLW's list, a .csv, a folder of .pts files.",
        show_default=False,
        rich_help_panel=OF_KEYPOINTS,
    ),
]
ValAnnotations = Annotated[
    Path | None,
    typer.Option(help="Annotations to measure on after each epoch.", show_default=False, rich_help_panel=OF_KEYPOINTS),
]
Annotations = Annotated[
    Path | None, typer.Option(help="Annotations to measure on, as COCO JSON.", show_default=False, rich_help_panel=OF_KEYPOINTS)
]
Masks = Annotated[
    Path | None,
    typer.Option(help="Folder of a mask of class indices for each image.", show_default=False, rich_help_panel=OF_MASKS),
]
ValMasks = Annotated[
    Path | None,
    typer.Option(help="Folder of the validation images' masks.", show_default=False, rich_help_panel=OF_MASKS),
]
Classes = Annotated[
    Path | None,
    typer.Option(help="File of the classes' names: a JSON list, or one a line.", show_default=False, rich_help_panel=OF_MASKS),
]
Images = Annotated[
    Path,
    typer.Option(help="Folder of the images; of classification, with a folder for each class.", show_default=False),
]
RunImages = Annotated[
    Path | None,
    typer.Option(help="Folder of the images; the data that the run was trained on if no data are given.", show_default=False),
]
ValImages = Annotated[Path | None, typer.Option(help="Folder of the validation images, if another.")]
FlipPairs = Annotated[
    str | None,
    typer.Option(
        help="Keypoints that change places in a mirrored image, as nose_a:nose_b,2:5, or none; those of the run if not given.",
        show_default=False,
        rich_help_panel=OF_KEYPOINTS,
    ),
]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.", min=1)]
BatchSize = Annotated[int, typer.Option(help="Examples a step.", min=1)]
LearningRate = Annotated[float, typer.Option(help="Adam's peak learning rate (cosine to zero).")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
MixedPrecision = Annotated[
    bool | None,
    typer.Option(
        "--mixed-precision",
        help="bfloat16 arithmetic: faster where the processor has it (AVX512-BF16, AMX, GPUs).",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="Of arithmetic: float32, bfloat16, or float16 with a scaled loss (GPUs).", show_default=False),
]
Rerank = Annotated[bool, typer.Option("--rerank", help="Measure importance again after each removal (slower).")]
AcceptClosest = Annotated[bool, typer.Option("--accept-closest", help="If no network is within the budget, use the closest one.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --output.")]
Distill = Annotated[float, typer.Option(help="The teacher's share of what is learnt; the rest is the annotations'.")]
Output = Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)]

# The sizes of the network to train.
InputSize = Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels, multiples of 32; the model's own if not given.")]
Width = Annotated[int | None, typer.Option(help="Channels of the first branch, if not the model's own.", min=1)]
Modules = Annotated[str | None, typer.Option(help="Modules of stages 2, 3, 4, such as 1,4,3.")]
Blocks = Annotated[int | None, typer.Option(help="Residual blocks in each branch of a module.", min=1)]
StemWidth = Annotated[int | None, typer.Option(help="Channels of the stem.", min=1)]
Stage1Blocks = Annotated[int | None, typer.Option(help="Bottleneck blocks of stage 1.", min=1)]
Stage1Width = Annotated[int | None, typer.Option(help="Inner channels of those (they put out 4 times that).", min=1)]
HeadWidth = Annotated[int | None, typer.Option(help="Channels of what follows the trunk, if not the paper's.", min=1)]
WidthLike = Annotated[
    Path | None, typer.Option(help="Be so narrow, stem and all, that it is as fast (int8, here) as this run's network.")
]
LinksFrom = Annotated[Path | None, typer.Option(help="Have only the links and blocks that this run has.")]

# What a recipe says, and `train` may say instead.
RECIPE = "Instead of the recipe's"
Recipe = Annotated[
    str | None,
    typer.Option(
        help="A recipe of the task (small; of pose coco too), or a .yaml file; by the model if not given.",
        show_default=False,
    ),
]
TotalEpochs = Annotated[int | None, typer.Option(help="Passes over the training data.", min=1, rich_help_panel=RECIPE)]
Persons = Annotated[int | None, typer.Option(help="Examples a step.", min=1, rich_help_panel=RECIPE)]
PeakRate = Annotated[float | None, typer.Option("--learning-rate", help="The largest.", rich_help_panel=RECIPE)]
Optimizer = Annotated[str | None, typer.Option(help="adam, or sgd with momentum 0.9.", rich_help_panel=RECIPE)]
WeightDecay = Annotated[float | None, typer.Option(help="Decoupled, of kernels.", rich_help_panel=RECIPE)]
Schedule = Annotated[str | None, typer.Option(help="Of the learning rate: cosine, step or poly.", rich_help_panel=RECIPE)]
Warmup = Annotated[float | None, typer.Option(help="Before the cosine.", rich_help_panel=RECIPE)]
Drops = Annotated[str | None, typer.Option(help="Epochs at which step divides by ten, as 170,200.", rich_help_panel=RECIPE)]
LinkDropout = Annotated[
    float | None,
    typer.Option(
        help="Leave each link out of an image with this chance, so that pruning needs less recovery.", rich_help_panel=RECIPE
    ),
]
Bfloat16 = Annotated[
    bool | None,
    typer.Option("--mixed-precision/--no-mixed-precision", help="--precision bfloat16, or float32.", rich_help_panel=RECIPE),
]
RecipePrecision = Annotated[
    str | None,
    typer.Option(help="Of arithmetic: float32, bfloat16, or float16 with a scaled loss (GPUs).", rich_help_panel=RECIPE),
]
Accumulate = Annotated[
    int | None, typer.Option(help="Batches whose gradients are averaged before the weights move.", min=1, rich_help_panel=RECIPE)
]
Ema = Annotated[
    float | None, typer.Option(help="Keep the weights' moving average of this momentum, such as 0.999.", rich_help_panel=RECIPE)
]

# How it is carried out.
MACHINE = "Devices"
Strategy = Annotated[
    str,
    typer.Option(help="one device, mirrored (all of this machine), multi-worker (TF_CONFIG or SLURM).", rich_help_panel=MACHINE),
]
DeviceCount = Annotated[
    int | None, typer.Option("--devices", help="Take so many of this machine's.", min=1, rich_help_panel=MACHINE)
]
Jit = Annotated[bool, typer.Option("--jit", help="Compile the training step by XLA.", rich_help_panel=MACHINE)]
Freeze = Annotated[str | None, typer.Option(help="Parts that stay as they are, such as stem,stage2.", show_default=False)]
Keep = Annotated[str, typer.Option(help="The weights of the last epoch, or of the best by the task's metric.")]
Patience = Annotated[int, typer.Option(help="End after so many epochs that were no better (0: never).", min=0)]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write curves and pictures to OUTPUT/tensorboard.")]
MemoryBudget = Annotated[
    str,
    typer.Option(
        help="Memory for examples and activations outside of training steps, such as 1GiB or 512MiB.",
        rich_help_panel=MACHINE,
    ),
]
Cache = Annotated[Path | None, typer.Option(help="Keep decoded images in this folder, so that each is read once.")]
