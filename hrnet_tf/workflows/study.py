"""What pruning links is worth, against what else one could do: the comparison as a list of `hrnet` commands.

All networks see the same people for the same number of epochs, base and tuning together:

    full       the full network, tuned on with itself as teacher as the pruned ones are
    links      the same base, pruned by importance to each budget
    random     the same base and budgets, links removed at random, one by one, whatever that saves, as far as that goes
    blocks     the same base, pruned of links and residual blocks
    narrow     a full network so narrow that it is as fast as the pruned one, trained from nothing
    dropped    a base trained with each link left out of an image at random, pruned by importance

Each becomes float32 and int8 (quantization-aware) and all are measured in one interleaved run. A budget is a share
of the full network's int8 latency.
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
    """Where the people are: COCO keypoint files and their images."""

    train: Path
    val: Path
    images: Path


@dataclass(frozen=True)
class StudyPreset:
    """Size of a study. `network` and `recipe` are options of `hrnet train`; budgets are shares of latency."""

    network: str
    recipe: str
    epochs: int
    tuning_epochs: int
    quantized_epochs: int
    batch_size: int
    learning_rate: float
    tuning_rate: float
    link_budgets: tuple[float, ...]
    block_budgets: tuple[float, ...]
    link_dropout: float = 0.1
    ranked: int = 400
    rounds: int = 100
    people: tuple[int, int] | None = None  # images to draw, to learn from and to measure on, where no data are given


PRESETS = {
    "small": StudyPreset(
        network="pose-small-v1 --input-size 64x64 --stem-width 16 --stage1-width 8 --width 16 --modules 1,2,2 --blocks 1",
        recipe="--sigma 1.5 --rotation 20 --scale 0.2",
        epochs=6,
        tuning_epochs=2,
        quantized_epochs=1,
        batch_size=16,
        learning_rate=2e-3,
        tuning_rate=1e-3,
        link_budgets=(0.75,),
        block_budgets=(0.6,),
        ranked=100,
        people=(400, 120),
    ),
    "lspet": StudyPreset(
        network="pose-small-v1 --input-size 128x96 --modules 1,2,2",
        recipe="--sigma 2 --rotation 20 --scale 0.2",
        epochs=24,
        tuning_epochs=12,
        quantized_epochs=1,
        batch_size=32,
        learning_rate=1.5e-3,
        tuning_rate=1e-3,
        link_budgets=(0.76, 0.66),
        block_budgets=(0.47,),
    ),
}


@dataclass(frozen=True)
class Arm:
    """One network of the study: its kind, its budget (None for the full one), and the name of its run."""

    kind: str
    budget: float | None
    name: str

    @property
    def labels(self) -> dict[str, str]:
        """The names of its two files, by precision, without the ending."""
        return {precision: f"{self.name}-{precision}" for precision in PRECISIONS}


def arms(size: StudyPreset) -> list[Arm]:
    """The networks that are compared, the full one first."""
    found = [Arm("full", None, "full")]
    for budget in size.link_budgets:
        found += [Arm(kind, budget, f"{kind}-{budget * 100:g}") for kind in ("links", "random", "narrow")]
    for budget in size.block_budgets:
        found += [Arm(kind, budget, f"{kind}-{budget * 100:g}") for kind in ("blocks", "narrow")]
    return found + [Arm("dropped", budget, f"dropped-{budget * 100:g}") for budget in size.link_budgets]


def manifest(size: StudyPreset) -> dict[str, object]:
    """What the report needs to know of the study, as plain data."""
    listed = [{"kind": arm.kind, "budget": arm.budget, "labels": list(arm.labels.values())} for arm in arms(size)]
    return {"epochs": size.epochs + size.tuning_epochs, "quantized_epochs": size.quantized_epochs, "arms": listed}


def study_setup(
    preset: str,
    output: Path,
    train: Path | None,
    val: Path | None,
    images: Path | None,
    epochs: int | None = None,
    tuning_epochs: int | None = None,
) -> tuple[StudyPreset, StudyData]:
    """The preset of that name with what is given in place of its own, and the people: those given, or drawn ones."""
    if preset not in PRESETS:
        raise HRNetError(f"no study preset named {preset!r}; there are {', '.join(PRESETS)}")
    size = PRESETS[preset]
    size = replace(size, epochs=epochs or size.epochs, tuning_epochs=tuning_epochs or size.tuning_epochs)
    if train and val and images:
        return replace(size, people=None), StudyData(train, val, images)
    if train or val or images:
        raise HRNetError("people are given by all three of `train_annotations`, `val_annotations` and `images`")
    if size.people is None:
        raise HRNetError(f"the preset {preset} needs people: give `train_annotations`, `val_annotations` and `images`")
    drawn = output / "people"
    train, val = (drawn / f"person_keypoints_{split}.json" for split in ("train", "val"))
    return size, StudyData(train, val, drawn / "images")


def study_steps(size: StudyPreset, data: StudyData, output: Path, *, mixed_precision: bool = False) -> list[Step]:
    """The commands, in order; their results lie in `output`."""
    return list(_Study(size, data, output, mixed_precision).steps())


@dataclass(frozen=True)
class _Study:
    """Writes the commands."""

    size: StudyPreset
    data: StudyData
    output: Path
    mixed_precision: bool

    def steps(self) -> Iterator[Step]:
        """The base, each network made of it with its files, the same with dropped links, then the measurement of all."""
        if self.size.people:
            train, val = self.size.people
            drawn = f"people --train-images {train} --val-images {val} --output"
            yield step(drawn, self.data.images.parent, result=self.data.train)
        yield self.train("base", self.size.epochs)
        yield self.rank("base", "--method leave-one-out --method taylor --method l0 --method l1 --method random --blocks")
        for arm in arms(self.size):
            if arm.kind == "dropped" and arm.budget == self.size.link_budgets[0]:
                yield self.train("dropped-base", self.size.epochs, (f"--link-dropout {self.size.link_dropout}",))
                yield self.rank("dropped-base", "")
            yield self.made(arm)
            quantized = self.run(f"{arm.name}-qat")
            yield self.command(("quantize", self.run(arm.name)), self.size.quantized_epochs, quantized)
            yield from self.converted(arm)
        yield self.compared()

    def made(self, arm: Arm) -> Step:
        """The command that trains or prunes one network."""
        tuning, total = self.size.tuning_epochs, self.size.epochs + self.size.tuning_epochs
        if arm.kind == "full":
            again = ("--init", self.run("base"), "--teacher", self.run("base"))
            return self.train(arm.name, tuning, again, self.size.tuning_rate)
        if arm.kind == "narrow":
            like = next(a for a in arms(self.size) if a.budget == arm.budget and a.kind in ("links", "blocks"))
            return self.train(arm.name, total, ("--width-like", self.run(like.name)), precise=True)
        how = {"random": "--method random --accept-closest", "blocks": "--blocks"}.get(arm.kind, "")
        base = "dropped-base" if arm.kind == "dropped" else "base"
        options = f"--keep-latency {arm.budget} {how} --learning-rate {self.size.tuning_rate} {self.common()}"
        return self.command(("prune", self.run(base)), tuning, self.run(arm.name), (options,))

    def train(
        self, name: str, epochs: int, more: tuple[Part, ...] = (), learning_rate: float | None = None, *, precise: bool = False
    ) -> Step:
        """Train the study's network; `precise` in float32 at any rate: odd widths are slower in bfloat16."""
        rate = learning_rate or self.size.learning_rate
        options = (f"{self.size.recipe} --learning-rate {rate}", *more, "" if precise else self.common())
        return self.command((f"train {self.size.network}",), epochs, self.run(name), options)

    def rank(self, name: str, methods: str) -> Step:
        """Rank a base network's units on people that it learned from."""
        run = self.run(name)
        people = ("--annotations", self.data.train, "--images", self.data.images, f"--limit {self.size.ranked}")
        return step("rank", run, *people, methods, result=run / "ranking.json")

    def command(self, begin: tuple[Part, ...], epochs: int, run: Path, options: tuple[Part, ...] = ()) -> Step:
        """A command that trains on the people into `run`, and goes on where it was interrupted."""
        data = self.data
        people = ("--train-annotations", data.train, "--val-annotations", data.val, "--images", data.images)
        sizes = f"--epochs {epochs} --batch-size {self.size.batch_size}"
        return step(*begin, *people, sizes, *options, "--output", run, "--resume")

    def converted(self, arm: Arm) -> Iterator[Step]:
        """Both files of one network."""
        for precision, label in arm.labels.items():
            run, file = self.run(arm.name if precision == "float32" else f"{arm.name}-qat"), self.output / f"{label}.tflite"
            yield step("convert", run, f"--format {precision} --output", file, result=file)

    def compared(self) -> Step:
        """All files in one interleaved run, and the report."""
        files = [self.output / f"{label}.tflite" for arm in arms(self.size) for label in arm.labels.values()]
        people = ("--annotations", self.data.val, "--images", self.data.images)
        folder = self.output / "report"
        report = ("--arms", self.output / MANIFEST, f"--rounds {self.size.rounds} --output", folder)
        return step("compare", *files, *people, *report, result=folder / "index.html")

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.output / "runs" / name

    def common(self) -> str:
        """Options of every float training."""
        return "--mixed-precision" if self.mixed_precision else ""
