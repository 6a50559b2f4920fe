"""Jobs of the study and commands of the demo: equal training of all networks, the right options, and quoted paths."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest

from hrnet_tf.spec.presets import PRESETS as NETWORKS
from hrnet_tf.workflows.demo import DEMOS, demo_steps
from hrnet_tf.workflows.jobs import job_list
from hrnet_tf.workflows.pipeline_demo import SIZE, pipeline_steps
from hrnet_tf.workflows.run_study import collect_study, started_study
from hrnet_tf.workflows.steps import run_steps
from hrnet_tf.workflows.study import Study, arms
from hrnet_tf.workflows.study_options import MANIFEST, StudyOptions
from hrnet_tf.workflows.study_presets import PRESETS
from mobile_eval.errors import HRNetError
from tests.support.program import parse
from training.pruning.width_matching import with_width

OUT = Path("/out")
ANNOTATED = {"train_annotations": Path("/d/train.json"), "val_annotations": Path("/d/val.json"), "images": Path("/d/images")}
MASKED = {name: Path("/d", name) for name in ("images", "masks", "val_images", "val_masks")}
LSPET = StudyOptions("lspet", **ANNOTATED, precision="bfloat16")


def options_of(words: tuple[str, ...]) -> dict[str, str]:
    return dict(itertools.pairwise(words))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_arm_sees_as_many_images_and_has_the_same_teacher(preset: str) -> None:
    has_masks = PRESETS[preset].has_masks
    study = Study.of(StudyOptions(preset, **(MASKED if has_masks else ANNOTATED)), OUT)
    epochs: dict[str, int] = {}
    quantized: dict[str, int] = {}
    for step in (step for job in study.jobs() for step in job.steps):  # those that others start from come first
        words, typed = step.arguments, options_of(step.arguments)
        if words[0] not in ("train", "prune", "quantize"):
            continue
        name = Path(typed["--output"]).name
        assert typed["--masks" if has_masks else "--train-annotations"] == ("/d/masks" if has_masks else "/d/train.json")
        assert typed["--batch-size"] == str(study.size.batch_size)
        assert "--resume" in words
        start = typed.get("--init") or words[1]
        if words[0] == "quantize":
            quantized[Path(words[1]).name] = int(typed["--epochs"])
            continue
        teacher = typed.get("--teacher") or (words[1] if words[0] == "prune" else None)  # a pruned run's default is its parent
        assert teacher == (None if name == "base" else "/out/runs/base")
        epochs[name] = int(typed["--epochs"]) + epochs.get(Path(start).name, 0)
    names = {arm.job for arm in arms(study.size)}
    assert {name: epochs[name] for name in names} == dict.fromkeys(names, study.size.total_epochs)
    assert quantized == dict.fromkeys(names, study.size.quantized_epochs)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_consistent(preset: str) -> None:
    size = PRESETS[preset]
    names = [arm.job for arm in arms(size)]
    assert len(set(names)) == len(names)
    assert set(size.deciding) <= {arm.name for arm in arms(size)}
    assert names.count("full-seed0") == 1
    spec = NETWORKS[size.network.split()[0]]
    assert size.widths.options == "--width {} --stem-width {} --stage1-width {}".format(*vars(size.widths).values())
    for width in size.narrow_widths:  # in the same proportions as `--width-like` makes networks narrower
        narrow = with_width(spec, width)  # type: ignore[arg-type]
        if preset != "small":
            assert vars(size.widths.scaled(width)) == {name: getattr(narrow, name) for name in vars(size.widths)}


def test_arms_of_the_small_network() -> None:
    listed = arms(PRESETS["lspet"])
    kinds = {kind: [arm.budget for arm in listed if (arm.kind, arm.seed) == (kind, 0)] for kind in {arm.kind for arm in listed}}
    budgets = [0.75, 0.5, 0.35]
    assert kinds["units"] == kinds["greedy"] == kinds["random"] == kinds["scratch"] == budgets
    assert len(kinds["narrow"]) == 3
    seeds = {arm.name: {other.seed for other in listed if other.name == arm.name} for arm in listed}
    assert {name for name, of_name in seeds.items() if of_name == {0, 1, 2}} == set(PRESETS["lspet"].deciding)
    assert all(of_name == {0} for name, of_name in seeds.items() if name not in PRESETS["lspet"].deciding)


def test_options_of_each_network() -> None:
    study = Study.of(LSPET, OUT)
    jobs = {job.name: job for job in study.jobs()}

    def command_of(name: str) -> str:
        return " ".join(jobs[name].steps[0].arguments)

    full = "train pose-small-v1 --input-size 128x96 --modules 1,2,2 --width 16 --stem-width 64 --stage1-width 32 "
    assert command_of("base").startswith(full)
    assert "--method leave-one-out --method taylor --method random --blocks --widths" in " ".join(jobs["base"].steps[1].arguments)
    assert "--init /out/runs/base" in command_of("full-seed2")
    assert "--seed 2" in command_of("full-seed2")
    assert "--keep-latency 0.5 --selection exact --blocks --widths --method taylor --rerank --learning-rate 0.001" in command_of(
        "units-50-seed0"
    )
    assert "--selection exact --blocks --widths --method random" in command_of("random-35-seed0")
    assert "--selection exact --no-blocks --no-widths --method taylor --rerank --accept-closest" in command_of("links-75-seed0")
    assert "--selection greedy --blocks --method leave-one-out --accept-closest" in command_of("greedy-35-seed0")
    assert "--links-from /out/runs/units-35-seed0" in command_of("scratch-35-seed0")
    assert command_of("full-scratch-seed0") == command_of("scratch-35-seed0").replace("scratch-35", "full-scratch").replace(
        " --links-from /out/runs/units-35-seed0", ""
    )
    assert "--width 12 --stem-width 48 --stage1-width 24" in command_of("narrow-12-seed0")
    narrow = {name for name in jobs if name.startswith("narrow")}
    assert all(("--precision bfloat16" in command_of(name)) == (name not in narrow) for name in jobs if name != "report")
    pruned = ("units-50-seed1", "random-50-seed0", "greedy-50-seed0")
    assert all(jobs[name].after == ("base",) and "prune /out/runs/base" in command_of(name) for name in pruned)
    assert jobs["narrow-8-seed0"].after == jobs["full-scratch-seed0"].after == ("base",)
    assert jobs["scratch-50-seed0"].after == ("base", "units-50-seed0")
    assert jobs["report"].after == tuple(arm.job for arm in arms(study.size))
    with_profile = Study.of(StudyOptions(**{**vars(LSPET), "profile": ["/p.json"]}), OUT)
    commands = [step.arguments for job in with_profile.jobs() for step in job.steps if step.arguments[0] == "prune"]
    assert all(options_of(words)["--profile"] == "/p.json" for words in commands)


def test_jobs_wait_for_what_their_commands_read() -> None:
    made: dict[str, str] = {}
    jobs = {job.name: job for job in Study.of(StudyOptions(hold_out=0.2), OUT).jobs()}
    assert list(jobs)[:2] == ["data", "base"]
    for job in jobs.values():
        for step in job.steps:
            read = {made[word] for word in step.arguments if word in made}
            assert read <= {job.name, *job.after, "data"}, step
            typed = options_of(step.arguments)
            made[typed.get("--output", "")] = job.name
    assert made["/out/report"] == "report"


def test_commands_and_options_exist() -> None:
    camvid = StudyOptions("camvid", **MASKED)
    for options in (StudyOptions(hold_out=0.2, profile=["a.json", "b.json"]), LSPET, camvid):
        for step in (step for job in Study.of(options, OUT).jobs() for step in job.steps):
            parse(step.arguments)


def test_settings_are_chosen_on_a_part_of_the_training_set() -> None:
    options = StudyOptions("lspet", train_annotations=Path("/d/train.json"), images=Path("/d/images"), hold_out=0.1)
    jobs = Study.of(options, OUT).jobs()
    assert jobs[0].steps[0].arguments == ("data", "split", "/d/train.json", "--fraction", "0.1", "--output", "/out/split")
    commands = [step.arguments for job in jobs[1:] for step in job.steps]
    trained_on = {typed["--train-annotations"] for typed in map(options_of, commands) if "--train-annotations" in typed}
    assert trained_on == {"/out/split/train.json"}
    assert options_of(commands[-1])["--annotations"] == "/out/split/held_out.json"
    assert options_of(commands[1])["--annotations"] == "/out/split/train.json"
    with pytest.raises(HRNetError, match="leave `val_annotations` out"):
        Study.of(StudyOptions(**{**vars(options), "val_annotations": Path("v.json")}), OUT)


def test_images_and_masks() -> None:
    jobs = {job.name: job for job in Study.of(StudyOptions("camvid", **MASKED), OUT).jobs()}
    trained, ranked = (options_of(step.arguments) for step in jobs["base"].steps)
    assert {name: trained[f"--{name}"] for name in ("images", "masks", "val-images", "val-masks")} == {
        "images": "/d/images",
        "masks": "/d/masks",
        "val-images": "/d/val_images",
        "val-masks": "/d/val_masks",
    }
    assert (ranked["--images"], ranked["--masks"]) == ("/d/images", "/d/masks")
    compared = options_of(jobs["report"].steps[0].arguments)
    assert (compared["--images"], compared["--masks"]) == ("/d/val_images", "/d/val_masks")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (StudyOptions("camvid"), "`preset` camvid needs data: give `images`, `masks`, `val_images` and `val_masks`"),
        (StudyOptions("camvid", images=Path("/d"), masks=Path("/d")), "data need all of `images`, `masks`"),
        (StudyOptions("camvid", **{**MASKED, "val_annotations": Path("/d")}), "`val_annotations` is not for `preset` camvid"),
        (StudyOptions("lspet", **ANNOTATED, masks=Path("/d")), "`masks` is not for `preset` lspet"),
        (StudyOptions("camvid", **MASKED, hold_out=0.1), "`hold_out` needs annotation files"),
        (StudyOptions("faces"), "`preset` faces needs data: give `train_annotations`"),
        (StudyOptions("faces", images=Path("/d")), "data need all of `train_annotations`"),
    ],
)
def test_data_that_do_not_fit(options: StudyOptions, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        Study.of(options, OUT)


def test_a_study_is_resumed_as_it_was_started(tmp_path: Path) -> None:
    started_study(LSPET, tmp_path, resume=False, read_only=True)
    assert not (tmp_path / MANIFEST).exists()
    started_study(StudyOptions("small", epochs=3), tmp_path, resume=False)
    first = json.loads((tmp_path / MANIFEST).read_text())["arms"][0]
    labels = ["full-seed0-float32", "full-seed0-int8"]
    assert first == {"name": "full", "kind": "full", "budget": None, "seed": 0, "labels": labels}
    with pytest.raises(HRNetError, match="`resume`"):
        started_study(StudyOptions("small", epochs=3), tmp_path, resume=False)
    resumed = started_study(StudyOptions(), tmp_path, resume=True)
    assert resumed.size.epochs == 3
    with pytest.raises(HRNetError, match=r"`epochs` of the study in .* is 3, got 4"):
        started_study(StudyOptions(epochs=4), tmp_path, resume=True)
    (tmp_path / MANIFEST).write_text('{"options": {"preset": 3}}')
    with pytest.raises(HRNetError, match=r"options: preset"):
        started_study(StudyOptions(), tmp_path, resume=True)


def test_finished_arms_are_collected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = Study.of(StudyOptions(), tmp_path)
    with pytest.raises(HRNetError, match="no finished arm"):
        collect_study(study, lambda arguments: None)
    for label in ("full-seed0-float32", "full-seed0-int8", "units-60-seed0-int8"):
        (tmp_path / f"{label}.tflite").touch()
    executed: list[list[str]] = []
    assert collect_study(study, executed.append) == tmp_path / "report" / "index.html"
    [words] = executed
    names = [Path(word).name for word in words if word.endswith(".tflite")]
    assert names == ["full-seed0-float32.tflite", "full-seed0-int8.tflite"]
    assert "units-60-seed0" in caplog.text
    text = job_list(study.jobs())
    assert "full-seed0: waits for base, finished" in text
    assert "scratch-60-seed0: waits for base, units-60-seed0\n" in text


@pytest.mark.parametrize("folder", ["my study", "a  b", "it's", 'say "this"', "[bold]x", "Übung"])
def test_paths_are_single_arguments(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(folder)
    options = StudyOptions("lspet", root / "train.json", root / "val.json", root / "images")
    study = [step for job in Study.of(options, root).jobs() for step in job.steps]
    demos = [*(demo_steps(root, task, demo) for task, demo in DEMOS.items()), pipeline_steps(root, SIZE)]
    for commands in demos:
        for command in commands + study:
            paths = [word for word in command.arguments if word.startswith(f"{folder}/")]
            rest = " ".join(word for word in command.arguments if word not in paths)
            assert folder not in rest
            assert len(paths) >= (1 if command.arguments[0] == "data" else 2)
    executed: list[list[str]] = []
    run_steps(study, executed.append)
    printed = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("hrnet ")]
    assert printed == executed == [list(command.arguments) for command in study]
