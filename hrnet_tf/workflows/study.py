"""Compare ways to make a network faster under equal training, as jobs of `hrnet` commands.

A base network is trained for `epochs`. It is the start of the pruned arms, and the teacher of all. Every arm sees the training
set for the same number of epochs in all, those of its start included:

    full            the base network, trained on with itself as teacher for as long as the pruned ones are
    units           links, blocks and widths of the base network, chosen by the exact selection from measured candidates
    links           links only, by the same selection
    greedy          links and blocks, chosen step by step
    random          as units, with random importance
    narrow          a narrower network, trained from scratch for the whole time, with the teacher
    scratch         the network of units, trained from scratch for the whole time, with the teacher
    full-scratch    the full network, trained in the same way

Each arm becomes a float32 and an int8 model (quantization-aware), and all are measured in one interleaved run. A budget is a
share of the full network's int8 latency.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_tf.workflows.jobs import Job
from hrnet_tf.workflows.steps import Part, Step, step
from hrnet_tf.workflows.study_data import StudyData
from hrnet_tf.workflows.study_options import MANIFEST, StudyOptions
from hrnet_tf.workflows.study_presets import StudyPreset
from mobile_eval.errors import HRNetError
from mobile_eval.report.arms import FULL, FULL_SCRATCH, GREEDY, LINKS, NARROW, RANDOM, SCRATCH, UNITS

PRECISIONS = ("float32", "int8")
DATA, BASE, REPORT = "data", "base", "report"  # jobs beside the arms
METHODS = ("leave-one-out", "taylor", "random")  # of importance, in the base network
EXACT, ALL_UNITS = "--selection exact", "--blocks --widths"
SELECTIONS = {  # options of `hrnet prune` by kind of arm
    UNITS: f"{EXACT} {ALL_UNITS} --method taylor --rerank",
    RANDOM: f"{EXACT} {ALL_UNITS} --method random",
    LINKS: f"{EXACT} --no-blocks --no-widths --method taylor --rerank --accept-closest",
    GREEDY: "--selection greedy --blocks --method leave-one-out --accept-closest",
}


@dataclass(frozen=True)
class Arm:
    """One training of a network of the study.

    Attributes:
        name: Name of the network, which its seeds share, such as "units-50" or "narrow-12".
        kind: How it is made (see the module).
        seed: Seed of its training.
        budget: Share of the full network's latency; None for the full and the narrower networks.
        width: Number of channels of a narrower network; None for other kinds.
    """

    name: str
    kind: str
    seed: int = 0
    budget: float | None = None
    width: int | None = None

    @property
    def job(self) -> str:
        """Name of its job and its run."""
        return f"{self.name}-seed{self.seed}"

    @property
    def labels(self) -> dict[str, str]:
        """Names of the two models, by precision."""
        return {precision: f"{self.job}-{precision}" for precision in PRECISIONS}


def arms(size: StudyPreset) -> list[Arm]:
    """Return the trainings to compare: the full network first, all arms with seed 0, then the deciding ones with the others."""
    by_budget = [(UNITS, budget) for budget in size.budgets] + [(LINKS, budget) for budget in size.link_budgets]
    controls = [(kind, budget) for kind in size.pruned_kinds if kind != UNITS for budget in size.budgets]
    first = [Arm(FULL, FULL), *_pruned(by_budget)]
    if SCRATCH in size.pruned_kinds:
        first.append(Arm(FULL_SCRATCH, FULL_SCRATCH))
    first += [Arm(f"narrow-{width}", NARROW, width=width) for width in size.narrow_widths]
    first += _pruned(controls)
    deciding = [arm for arm in first if arm.name in size.deciding]
    return first + [replace(arm, seed=seed) for seed in range(1, size.seeds) for arm in deciding]


def _pruned(pairs: Sequence[tuple[str, float]]) -> list[Arm]:
    return [Arm(f"{kind}-{budget * 100:g}", kind, budget=budget) for kind, budget in pairs]


@dataclass(frozen=True)
class Study:
    """A study: what is compared, on which data, and where.

    Attributes:
        options: The options that it was started with.
        size: Its size.
        data: What the arms are trained and measured on.
        source: The data that `data` are a part of if settings are chosen on a part of the training data.
        output: Folder for the results.
    """

    options: StudyOptions
    size: StudyPreset
    data: StudyData
    source: StudyData
    output: Path

    @classmethod
    def of(cls, options: StudyOptions, output: Path) -> Study:
        """Return the study of the options.

        Raises:
            HRNetError: There is no such preset, or data are missing.
        """
        size = options.size()
        users = StudyData.of(options)
        if users is None and size.synthetic_images is None:
            raise HRNetError(f"`preset` {options.preset} needs data: give {StudyData.needed(options)}")
        if users:
            size = replace(size, synthetic_images=None)
        data = users or StudyData.synthetic(output / "people")
        source = data
        if options.hold_out:
            data = data.split_into(output / "split")
        return cls(options, size, data, source, output)

    def manifest(self) -> dict[str, object]:
        """Return what the report needs to know about the study, and what may not change when it is resumed, as plain data."""
        listed = [
            {"name": arm.name, "kind": arm.kind, "budget": arm.budget, "seed": arm.seed, "labels": list(arm.labels.values())}
            for arm in arms(self.size)
        ]
        epochs = {"epochs": self.size.total_epochs, "quantized_epochs": self.size.quantized_epochs}
        return {**epochs, "options": self.options.to_json(), "arms": listed}

    def jobs(self) -> list[Job]:
        """Return the jobs, each after those that it waits for: data, base network, arms, report."""
        data = [Job(DATA, steps)] if (steps := tuple(self._data_steps())) else []
        base = Job(BASE, tuple(self._base_steps()), tuple(job.name for job in data))
        return [*data, base, *map(self._arm_job, arms(self.size)), self.report_job(arms(self.size))]

    def report_job(self, listed: Sequence[Arm]) -> Job:
        """Return the job that measures the models of arms in one interleaved run, and writes the report."""
        files = [self._model(label) for arm in listed for label in arm.labels.values()]
        report = ("--arms", self.output / MANIFEST, f"--rounds {self.size.rounds} --output", self.report.parent)
        compare = step("compare", *files, *self.data.validation, *report, result=self.report)
        return Job(REPORT, (compare,), tuple(arm.job for arm in listed))

    def finished_arms(self) -> tuple[list[Arm], list[Arm]]:
        """Return the arms whose models exist, and the others."""
        listed = arms(self.size)
        finished = [arm for arm in listed if all(self._model(label).is_file() for label in arm.labels.values())]
        return finished, [arm for arm in listed if arm not in finished]

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.output / "report" / "index.html"

    def _data_steps(self) -> Iterator[Step]:
        if self.size.synthetic_images:
            train, val = self.size.synthetic_images
            drawn = f"data synthetic --train-images {train} --val-images {val} --output"
            yield step(drawn, self.data.images.parent, result=self.source.annotations)
        if self.options.hold_out and self.source.annotations and self.data.val_annotations:
            held_out = self.data.val_annotations
            fraction = f"--fraction {self.options.hold_out} --output"
            yield step("data split", self.source.annotations, fraction, held_out.parent, result=held_out)

    def _base_steps(self) -> Iterator[Step]:
        run = self._run(BASE)
        rate = f"--learning-rate {self.size.learning_rate} --seed 0"
        yield self._training((self._network(),), self.size.epochs, run, (self.size.recipe, rate, self._precision()))
        limit, methods = f"--limit {self.size.ranking_items}", " ".join(f"--method {method}" for method in METHODS)
        yield step("rank", run, *self.data.ranking, limit, f"{methods} {ALL_UNITS}", result=run / "ranking.json")

    def _arm_job(self, arm: Arm) -> Job:
        """Return the job of an arm: the network, its quantization-aware model, and the two files."""
        run, quantized = self._run(arm.job), self._run(f"{arm.job}-qat")
        quantize = self._training(("quantize", run), self.size.quantized_epochs, quantized, (f"--seed {arm.seed}",))
        runs = dict(zip(PRECISIONS, (run, quantized), strict=True))
        files = [(precision, self._model(label)) for precision, label in arm.labels.items()]
        convert = [step("convert", runs[name], f"--format {name} --output", file, result=file) for name, file in files]
        after = (BASE, self._pattern(arm)) if arm.kind == SCRATCH else (BASE,)
        return Job(arm.job, (self._network_step(arm), quantize, *convert), after)

    def _network_step(self, arm: Arm) -> Step:
        """Return the command that trains or prunes the network of an arm."""
        base, seed = self._run(BASE), f"--seed {arm.seed}"
        teacher: tuple[Part, ...] = (self.size.recipe, "--teacher", base)
        rate, tuning_rate = (f"--learning-rate {rate} {seed}" for rate in (self.size.learning_rate, self.size.fine_tuning_rate))
        run, tuning, total = self._run(arm.job), self.size.fine_tuning_epochs, self.size.total_epochs
        if arm.kind == FULL:
            return self._training((self._network(),), tuning, run, ("--init", base, *teacher, tuning_rate, self._precision()))
        if arm.width is not None:  # in float32: odd widths are slower in bfloat16
            return self._training((self._network(arm.width),), total, run, (*teacher, rate))
        if arm.kind in (SCRATCH, FULL_SCRATCH):
            pattern = () if arm.kind == FULL_SCRATCH else ("--links-from", self._run(self._pattern(arm)))
            return self._training((self._network(),), total, run, (*pattern, *teacher, rate, self._precision()))
        profiles = [part for file in self.options.profile or () for part in ("--profile", Path(file))]
        budget = (f"--keep-latency {arm.budget} {SELECTIONS[arm.kind]}", *profiles, f"{tuning_rate} {self._precision()}")
        return self._training(("prune", base), tuning, run, budget)

    def _training(self, begin: tuple[Part, ...], epochs: int, run: Path, options: tuple[Part, ...]) -> Step:
        """Return a command that trains into `run` and can be resumed."""
        sizes = f"--epochs {epochs} --batch-size {self.size.batch_size}"
        return step(*begin, *self.data.training, sizes, *options, "--output", run, "--resume")

    def _network(self, width: int | None = None) -> str:
        """Return the command that trains the full network, or one of another width."""
        widths = self.size.widths if width is None else self.size.widths.scaled(width)
        return f"train {self.size.network} {widths.options}"

    def _pattern(self, arm: Arm) -> str:
        """Return the run whose network a scratch arm trains anew."""
        return dataclasses.replace(arm, name=arm.name.replace(SCRATCH, UNITS), seed=0).job

    def _run(self, name: str) -> Path:
        return self.output / "runs" / name

    def _model(self, label: str) -> Path:
        return self.output / f"{label}.tflite"

    def _precision(self) -> str:
        """Return the option of the commands that may train in another precision than float32."""
        return "" if self.options.precision == "float32" else f"--precision {self.options.precision}"
