"""Compare pruning strategies under equal training, as a list of `hrnet` commands.

All networks see the same images for the same number of epochs, training and fine-tuning together:

    full       the full network, fine-tuned with itself as teacher, as the pruned ones are
    links      the same base network, with links pruned by importance to each budget
    random     the same base network and budgets, with single links removed at random
    blocks     the same base network, with links and residual blocks pruned
    narrow     a latency-matched baseline: a full network that is as fast as the pruned one because it is narrower
    dropped    a base network trained with link dropout, with links pruned by importance

Each becomes a float32 and an int8 model (quantization-aware), and all are measured in one interleaved run. A budget is a share of
the full network's int8 latency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_tf.workflows.steps import Part, Step, step
from mobile_eval.errors import HRNetError

MANIFEST = "study.json"
PRECISIONS = ("float32", "int8")


@dataclass(frozen=True)
class StudyData:
    """COCO keypoint files for training and validation, and the folder of their images."""

    train: Path
    val: Path
    images: Path


@dataclass(frozen=True)
class StudyPreset:
    """Size of a study.

    Attributes:
        network: Network and its options for `hrnet train`.
        recipe: Training options for `hrnet train`.
        epochs: Number of epochs of the base networks.
        fine_tuning_epochs: Number of epochs after pruning.
        quantized_epochs: Number of epochs of quantization-aware fine-tuning.
        batch_size: Batch size.
        learning_rate: Peak learning rate of the base networks.
        fine_tuning_rate: Peak learning rate after pruning.
        link_budgets: Shares of latency to which links are pruned.
        block_budgets: Shares of latency to which links and residual blocks are pruned.
        link_dropout: Probability of each link to be left out, for the network that is trained with link dropout.
        ranking_items: Number of items that importance is measured on.
        rounds: Number of timed runs of each model.
        synthetic_images: Numbers of training and validation images to generate; None if the study needs data of the user.
    """

    network: str
    recipe: str
    epochs: int
    fine_tuning_epochs: int
    quantized_epochs: int
    batch_size: int
    learning_rate: float
    fine_tuning_rate: float
    link_budgets: tuple[float, ...]
    block_budgets: tuple[float, ...]
    link_dropout: float = 0.1
    ranking_items: int = 400
    rounds: int = 100
    synthetic_images: tuple[int, int] | None = None


PRESETS = {
    "small": StudyPreset(
        network="pose-small-v1 --input-size 64x64 --stem-width 16 --stage1-width 8 --width 16 --modules 1,2,2 --blocks 1",
        recipe="--sigma 1.5 --rotation 20 --scale 0.2",
        epochs=6,
        fine_tuning_epochs=2,
        quantized_epochs=1,
        batch_size=16,
        learning_rate=2e-3,
        fine_tuning_rate=1e-3,
        link_budgets=(0.75,),
        block_budgets=(0.6,),
        ranking_items=100,
        synthetic_images=(400, 120),
    ),
    "lspet": StudyPreset(
        network="pose-small-v1 --input-size 128x96 --modules 1,2,2",
        recipe="--sigma 2 --rotation 20 --scale 0.2",
        epochs=24,
        fine_tuning_epochs=12,
        quantized_epochs=1,
        batch_size=32,
        learning_rate=1.5e-3,
        fine_tuning_rate=1e-3,
        link_budgets=(0.76, 0.66),
        block_budgets=(0.47,),
    ),
}


@dataclass(frozen=True)
class Arm:
    """One network of the study.

    Attributes:
        kind: The strategy: full, links, random, blocks, narrow or dropped.
        budget: Share of the full network's latency; None for the full network.
        name: Name of the run.
    """

    kind: str
    budget: float | None
    name: str

    @property
    def labels(self) -> dict[str, str]:
        """Names of the two models, by precision."""
        return {precision: f"{self.name}-{precision}" for precision in PRECISIONS}


def arms(size: StudyPreset) -> list[Arm]:
    """Return the networks to compare, the full one first."""
    networks = [Arm("full", None, "full")]
    for budget in size.link_budgets:
        networks += [Arm(kind, budget, f"{kind}-{budget * 100:g}") for kind in ("links", "random", "narrow")]
    for budget in size.block_budgets:
        networks += [Arm(kind, budget, f"{kind}-{budget * 100:g}") for kind in ("blocks", "narrow")]
    return networks + [Arm("dropped", budget, f"dropped-{budget * 100:g}") for budget in size.link_budgets]


def manifest(size: StudyPreset) -> dict[str, object]:
    """Return what the report needs to know about the study, as plain data."""
    listed = [{"kind": arm.kind, "budget": arm.budget, "labels": list(arm.labels.values())} for arm in arms(size)]
    return {"epochs": size.epochs + size.fine_tuning_epochs, "quantized_epochs": size.quantized_epochs, "arms": listed}


def study_setup(
    preset: str,
    output: Path,
    train: Path | None,
    val: Path | None,
    images: Path | None,
    epochs: int | None = None,
    fine_tuning_epochs: int | None = None,
) -> tuple[StudyPreset, StudyData]:
    """Return the size and the data of a study.

    Args:
        preset: Name from `PRESETS`.
        output: Folder of the study, into which synthetic data are generated.
        train: Training annotations; None for synthetic data.
        val: Validation annotations.
        images: Folder of the images.
        epochs: Number of epochs of the base networks, instead of the preset's.
        fine_tuning_epochs: Number of epochs after pruning, instead of the preset's.
    """
    if preset not in PRESETS:
        raise HRNetError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}")
    size = PRESETS[preset]
    size = replace(size, epochs=epochs or size.epochs, fine_tuning_epochs=fine_tuning_epochs or size.fine_tuning_epochs)
    if train and val and images:
        return replace(size, synthetic_images=None), StudyData(train, val, images)
    if train or val or images:
        raise HRNetError("data need all three of `train_annotations`, `val_annotations` and `images`")
    if size.synthetic_images is None:
        raise HRNetError(f"`preset` {preset} needs data: give `train_annotations`, `val_annotations` and `images`")
    synthetic = output / "people"
    train, val = (synthetic / f"person_keypoints_{split}.json" for split in ("train", "val"))
    return size, StudyData(train, val, synthetic / "images")


def study_steps(size: StudyPreset, data: StudyData, output: Path, *, precision: str = "float32") -> list[Step]:
    """Return the commands of a study, in order.

    Args:
        size: Size of the study.
        data: Training and validation data.
        output: Folder for the results.
        precision: Compute precision of training: float32, bfloat16 or float16.
    """
    return list(_StudyCommands(size, data, output, precision).steps())


@dataclass(frozen=True)
class _StudyCommands:
    """Makes the commands."""

    size: StudyPreset
    data: StudyData
    output: Path
    precision: str

    def steps(self) -> Iterator[Step]:
        """Yield the commands: the base network, each network made from it and its models, then the comparison."""
        if self.size.synthetic_images:
            train, val = self.size.synthetic_images
            drawn = f"data synthetic --train-images {train} --val-images {val} --output"
            yield step(drawn, self.data.images.parent, result=self.data.train)
        yield self.train("base", self.size.epochs)
        yield self.rank("base", "--method leave-one-out --method taylor --method l0 --method l1 --method random --blocks")
        for arm in arms(self.size):
            if arm.kind == "dropped" and arm.budget == self.size.link_budgets[0]:
                yield self.train("dropped-base", self.size.epochs, (f"--link-dropout {self.size.link_dropout}",))
                yield self.rank("dropped-base", "")
            yield self.make(arm)
            quantized = self.run(f"{arm.name}-qat")
            yield self.command(("quantize", self.run(arm.name)), self.size.quantized_epochs, quantized)
            yield from self.convert(arm)
        yield self.compare()

    def make(self, arm: Arm) -> Step:
        """Return the command that trains or prunes a network."""
        fine_tuning, total = self.size.fine_tuning_epochs, self.size.epochs + self.size.fine_tuning_epochs
        if arm.kind == "full":
            base_run = ("--init", self.run("base"), "--teacher", self.run("base"))
            return self.train(arm.name, fine_tuning, base_run, self.size.fine_tuning_rate)
        if arm.kind == "narrow":
            same_budget = [pruned for pruned in arms(self.size) if pruned.budget == arm.budget]
            like = next(pruned for pruned in same_budget if pruned.kind in ("links", "blocks"))
            return self.train(arm.name, total, ("--width-like", self.run(like.name)), float32=True)
        strategy = {"random": "--method random --accept-closest", "blocks": "--blocks"}.get(arm.kind, "")
        base = "dropped-base" if arm.kind == "dropped" else "base"
        options = f"--keep-latency {arm.budget} {strategy} --learning-rate {self.size.fine_tuning_rate} {self.precision_option()}"
        return self.command(("prune", self.run(base)), fine_tuning, self.run(arm.name), (options,))

    def train(
        self, name: str, epochs: int, more: tuple[Part, ...] = (), learning_rate: float | None = None, *, float32: bool = False
    ) -> Step:
        """Train the study's network, with `float32` in float32 always: odd widths are slower in bfloat16."""
        rate = learning_rate or self.size.learning_rate
        options = (f"{self.size.recipe} --learning-rate {rate}", *more, "" if float32 else self.precision_option())
        return self.command((f"train {self.size.network}",), epochs, self.run(name), options)

    def rank(self, name: str, methods: str) -> Step:
        """Rank the units of a base network on its training set."""
        run = self.run(name)
        data = ("--annotations", self.data.train, "--images", self.data.images, f"--limit {self.size.ranking_items}")
        return step("rank", run, *data, methods, result=run / "ranking.json")

    def command(self, begin: tuple[Part, ...], epochs: int, run: Path, options: tuple[Part, ...] = ()) -> Step:
        """A command that trains into `run` and can be resumed."""
        train = ("--train-annotations", self.data.train, "--images", self.data.images)
        val = ("--val-annotations", self.data.val)
        sizes = f"--epochs {epochs} --batch-size {self.size.batch_size}"
        return step(*begin, *train, *val, sizes, *options, "--output", run, "--resume")

    def convert(self, arm: Arm) -> Iterator[Step]:
        """Convert a network to float32 and int8."""
        for precision, label in arm.labels.items():
            run, file = self.run(arm.name if precision == "float32" else f"{arm.name}-qat"), self.output / f"{label}.tflite"
            yield step("convert", run, f"--format {precision} --output", file, result=file)

    def compare(self) -> Step:
        """Measure all models in one interleaved run, and write the report."""
        files = [self.output / f"{label}.tflite" for arm in arms(self.size) for label in arm.labels.values()]
        data = ("--annotations", self.data.val, "--images", self.data.images)
        folder = self.output / "report"
        report = ("--arms", self.output / MANIFEST, f"--rounds {self.size.rounds} --output", folder)
        return step("compare", *files, *data, *report, result=folder / "index.html")

    def run(self, name: str) -> Path:
        """Return the folder of a run."""
        return self.output / "runs" / name

    def precision_option(self) -> str:
        """Return the option of the commands that may train in another precision than float32."""
        return "" if self.precision == "float32" else f"--precision {self.precision}"
