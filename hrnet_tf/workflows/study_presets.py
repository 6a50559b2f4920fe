"""Sizes of studies: networks, budgets, arms, epochs and seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mobile_eval.report.arms import GREEDY, RANDOM, SCRATCH, UNITS

PRUNED_KINDS = (UNITS, RANDOM, GREEDY, SCRATCH)  # kinds of arms that are made for each budget


@dataclass(frozen=True)
class Widths:
    """Numbers of channels: of branch 0, of the stem, and inside the blocks of stage 1."""

    width: int
    stem_width: int
    stage1_width: int

    @property
    def options(self) -> str:
        """Options of `hrnet train`."""
        return f"--width {self.width} --stem-width {self.stem_width} --stage1-width {self.stage1_width}"

    def scaled(self, width: int) -> Widths:
        """Return these widths with `width` channels in branch 0, the others in proportion (at least 1)."""
        stem, stage1 = (max(1, round(other * width / self.width)) for other in (self.stem_width, self.stage1_width))
        return Widths(width, stem, stage1)


@dataclass(frozen=True)
class StudyPreset:
    """Size of a study.

    Attributes:
        network: Network and its options for `hrnet train`, except for widths.
        widths: Widths of the full network.
        recipe: Training options for `hrnet train`.
        epochs: Number of epochs of the base network, which is the start and the teacher of the arms.
        fine_tuning_epochs: Number of epochs after those. Arms that start from scratch are trained for `epochs` more than that.
        quantized_epochs: Number of epochs of quantization-aware fine-tuning.
        batch_size: Batch size.
        learning_rate: Peak learning rate of a training from scratch.
        fine_tuning_rate: Peak learning rate of a training that continues the base network.
        budgets: Shares of the full network's int8 latency to which `pruned_kinds` are pruned.
        link_budgets: Shares to which only links are removed.
        narrow_widths: Widths of the narrower networks.
        pruned_kinds: Kinds of arms for each budget, of `PRUNED_KINDS`.
        seeds: Number of seeds of the deciding arms. The others have one.
        deciding: Names of the deciding arms, such as "units-50".
        ranking_items: Number of items that importance is measured on.
        rounds: Number of timed runs of each model.
        has_masks: Whether the data are images and masks, and not images and an annotation file.
        synthetic_images: Numbers of training and validation images to generate; None if the study needs data of the user.
    """

    network: str
    widths: Widths
    recipe: str
    epochs: int
    fine_tuning_epochs: int
    quantized_epochs: int
    batch_size: int
    learning_rate: float
    fine_tuning_rate: float
    budgets: tuple[float, ...]
    link_budgets: tuple[float, ...]
    narrow_widths: tuple[int, ...]
    pruned_kinds: tuple[str, ...] = PRUNED_KINDS
    seeds: int = 1
    deciding: tuple[str, ...] = ()
    ranking_items: int = 400
    rounds: int = 100
    has_masks: bool = False
    synthetic_images: tuple[int, int] | None = None

    @property
    def total_epochs(self) -> int:
        """Number of epochs that every arm sees the training set, before quantization."""
        return self.epochs + self.fine_tuning_epochs


LSPET = StudyPreset(
    network="pose-small-v1 --input-size 128x96 --modules 1,2,2",
    widths=Widths(16, 64, 32),
    recipe="--sigma 2 --rotation 20 --scale 0.2",
    epochs=16,
    fine_tuning_epochs=32,
    quantized_epochs=1,
    batch_size=32,
    learning_rate=1.5e-3,
    fine_tuning_rate=1e-3,
    budgets=(0.75, 0.5, 0.35),
    link_budgets=(0.75, 0.65),
    narrow_widths=(12, 8, 5),
    seeds=3,
    deciding=("full", "units-50", "units-35", "scratch-50", "scratch-35", "narrow-8", "narrow-5"),
)
FULL_DEPTH = replace(
    LSPET,
    network="pose-w16 --input-size 128x96",
    widths=Widths(16, 64, 64),
    budgets=(0.7, 0.5),
    link_budgets=(0.8, 0.7),
    narrow_widths=(12, 8),
    pruned_kinds=(UNITS, SCRATCH),
    seeds=1,
    deciding=("full", "units-70", "units-50", "narrow-12", "narrow-8"),
)
SECOND_TASK = replace(
    LSPET,
    recipe="",
    batch_size=16,
    budgets=(0.5,),
    link_budgets=(),
    narrow_widths=(12, 8),
    seeds=1,
    deciding=("full", "units-50", "narrow-8"),
)
PRESETS = {
    "small": StudyPreset(
        network="pose-small-v1 --input-size 64x64 --modules 1,2,2 --blocks 1",
        widths=Widths(16, 16, 8),
        recipe="--sigma 1.5 --rotation 20 --scale 0.2",
        epochs=6,
        fine_tuning_epochs=3,
        quantized_epochs=1,
        batch_size=16,
        learning_rate=2e-3,
        fine_tuning_rate=1e-3,
        budgets=(0.6,),
        link_budgets=(0.75,),
        narrow_widths=(8,),
        deciding=("full", "units-60", "narrow-8"),
        ranking_items=100,
        synthetic_images=(400, 120),
    ),
    "lspet": LSPET,
    "w16": FULL_DEPTH,
    "w32": replace(
        FULL_DEPTH,
        network="pose-w32 --input-size 128x96",
        widths=Widths(32, 64, 64),
        epochs=12,
        fine_tuning_epochs=20,
        learning_rate=1e-3,
        fine_tuning_rate=5e-4,
        budgets=(0.5,),
        narrow_widths=(),
        deciding=("full", "units-50"),
    ),
    "faces": replace(
        SECOND_TASK, network="landmarks-small-v1 --modules 1,2,2 --input-size 128x128", epochs=20, fine_tuning_epochs=40
    ),
    "camvid": replace(
        SECOND_TASK,
        network="segment-small-v1 --modules 1,2,2 --input-size 192x256",
        epochs=40,
        fine_tuning_epochs=80,
        ranking_items=200,
        has_masks=True,
    ),
}
