"""`hrnet target android benchmark` with the real adb, on an emulated phone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mobile_eval.android import adb as adb_module
from mobile_eval.files import sha256

from ..conftest import Invoke, one_line
from .conftest import read
from .emulated_phone import Adb, EmulatedPhone

ROOT = Path(__file__).parents[3]
Program = Callable[..., Path]


@pytest.mark.slow
def test_bench_writes_the_keys_of_hrnet_bench(
    invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path
) -> None:
    cpu = phone.root / "sys" / "devices" / "system" / "cpu"
    for core in (0, 4):
        (cpu / f"cpu{core}" / "cpufreq").mkdir(parents=True)
        (cpu / f"cpu{core}" / "cpufreq" / "scaling_cur_freq").write_text(f"{1_000_000 + core * 100_000}\n")
        (cpu / f"cpu{core}" / "cpufreq" / "scaling_governor").write_text("schedutil\n")
    (cpu / "present").write_text("0-7\n")
    for number, (kind, reading) in enumerate((("battery", 99000), ("cpu-1-0", 41500), ("cpu-1-1", 2147483), ("soc", 39000))):
        zone = phone.root / "sys" / "class" / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind)
        (zone / "temp").write_text(str(reading))
    phone.install("taskset", '#!/bin/sh\n[ "$1" = f0 ] || exit 1\nshift\nexec "$@"\n')
    binary, json = program(), tmp_path / "out" / "phone.json"
    code, out, error = invoke(
        "benchmark", model, "--benchmark-binary", binary, "--cores", "f0", "--runs", 50, "--threads", 4, "--json", json
    )
    assert code == 0, error
    result = read(json)
    assert (result["p50_ms"], result["mean_ms"], result["min_ms"], result["max_ms"]) == (576.856, 699.438, 502.355, 2270.688)
    assert (result["p5_ms"], result["p95_ms"], result["runs"], result["load_ms"], result["first_ms"]) == (
        502.674, 1373.207, 50, 102.32, 670.083,
    )  # fmt: skip
    assert (result["p90_ms"], result["p99_ms"], result["samples_ms"], result["drift"]) == (None, None, None, None)
    assert result["memory"] == {"peak_bytes": round(13.1797 * 2**20), "before_loading_bytes": None}
    assert result["sha256"] == sha256(model.read_bytes())
    assert result["tool_sha256"] == sha256(binary.read_bytes())
    assert len(result["operators"]) == 12  # type: ignore[arg-type]
    before = result["before"]
    assert isinstance(before, dict)
    assert before["processor"] == "Example Phone 3 (Maker SM1234)"
    assert before["system"] == "Android 14 (API 34)"
    assert (before["governor"], before["frequency_mhz"], before["temperature_celsius"]) == ("schedutil", 1400.0, 41.5)
    assert (before["cores"], before["allowed_cores"]) == (8, [4, 5, 6, 7])
    assert result["command"] == (
        "taskset f0 benchmark_model --graph=model.tflite --num_threads=4 --use_xnnpack=true --num_runs=50 --min_secs=0 "
        "--max_secs=86400 --warmup_runs=6 --warmup_min_secs=0"
    )
    assert "49 of 49 operators ran on XNNPACK, in 1 partition" in out
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_values_that_are_not_reported_are_unavailable(
    invoke: Invoke, make_phone: Callable[..., EmulatedPhone], program: Program, model: Path, tmp_path: Path
) -> None:
    phone = make_phone(shell_v2=False)  # up to Android 6, adb passes no exit status
    json = tmp_path / "phone.json"
    options = ("--runs", 1, "--no-memory", "--no-operators", "--json", json)
    code, out, _ = invoke("benchmark", model, "--benchmark-binary", program("gpu_old.txt"), "--use-gpu", *options)
    assert code == 0
    result = read(json)
    assert (result["p50_ms"], result["mean_ms"], result["memory"], result["operators"]) == (None, 119.375, None, None)
    before = result["before"]
    assert isinstance(before, dict)
    assert {before[name] for name in ("governor", "frequency_mhz", "temperature_celsius")} == {"unavailable"}
    assert "p50 unavailable ms" in out
    assert "the full model ran on GPU" in out
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_delegate_that_did_not_apply_is_reported(
    invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path
) -> None:
    json = tmp_path / "phone.json"
    options = ("--runs", 1, "--no-memory", "--no-operators", "--json", json)
    code, out, _ = invoke("benchmark", model, "--benchmark-binary", program("gpu.txt"), "--use-nnapi", *options)
    assert code == 0
    assert "NNAPI took no operators" in out
    placement = read(json)["placement"]
    assert isinstance(placement, dict)
    assert (placement["delegate"], placement["delegated"], placement["extent"]) == ("NNAPI", 0, "not")
    assert "--use_nnapi=true --use_xnnpack=false" in phone.commands[-3]
    code, out, _ = invoke("benchmark", model, "--benchmark-binary", program("gpu_unsupported.txt"), "--use-gpu", *options)
    assert code == 0
    assert "benchmark_model does not report GPU" in out


@pytest.mark.slow
def test_threads_are_measured_in_turn(
    invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path
) -> None:
    json = tmp_path / "phone.json"
    options = ("--threads", "1,2", "--runs", 1, "--no-memory", "--no-operators", "--json", json)
    assert invoke("benchmark", model, "--benchmark-binary", program(), *options)[0] == 0
    sweep = read(json)["sweep"]
    assert isinstance(sweep, list)
    assert [result["threads"] for result in sweep] == [1, 2]


def test_choice_of_the_phone(
    invoke: Invoke, adb: Adb, make_phone: Callable[..., EmulatedPhone], program: Program, model: Path
) -> None:
    arguments = ("benchmark", model, "--benchmark-binary", program(), "--runs", 1, "--no-memory", "--no-operators")
    code, _, error = invoke(*arguments)
    assert code == 2
    assert "no phone on adb" in one_line(error)
    first, second = make_phone(), make_phone()
    code, _, error = invoke(*arguments)
    assert code == 2
    assert f"2 phones on adb ({first.serial}, {second.serial}): choose one with --serial" in one_line(error).replace(
        f"({second.serial}, {first.serial})", f"({first.serial}, {second.serial})"
    )
    assert invoke(*arguments, "--serial", second.serial)[0] == 0
    assert first.commands == []
    code, _, error = invoke(*arguments, "--serial", "other")
    assert code == 2
    assert "no phone other on adb" in one_line(error)
    code, _, error = invoke(*arguments, "--adb", "/nowhere/adb")
    assert code == 2
    assert "/nowhere/adb" in one_line(error)


def test_binary_for_another_processor_is_not_copied(
    invoke: Invoke, make_phone: Callable[..., EmulatedPhone], program: Program, model: Path, tmp_path: Path
) -> None:
    phone = make_phone(**{"ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a"})
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program())
    assert code == 2
    assert "benchmark_model is for x86_64, but the phone runs arm64-v8a, armeabi-v7a" in one_line(error)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho a program of more than twenty bytes\n")
    code, _, error = invoke("benchmark", model, "--benchmark-binary", script)
    assert code == 2
    assert "script is not an Android program" in one_line(error)
    assert not any("mkdir" in command for command in phone.commands)


def test_full_phone_is_cleaned_up(invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path) -> None:
    phone.free_bytes = 500
    json = tmp_path / "phone.json"
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program(), "--json", json)
    assert code == 2
    assert f"cannot copy a model.tflite to the phone {phone.serial}: write failed: No space left on device" in one_line(error)
    assert phone.temporary_files() == []
    assert not json.exists()


@pytest.mark.slow
def test_phone_disconnected_during_a_run(
    invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path
) -> None:
    phone.disconnects_at = "--num_runs"
    json = tmp_path / "phone.json"
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program(seconds=5), "--json", json)
    assert code == 2
    line = one_line(error)
    assert phone.serial in line
    assert f"/data/local/tmp/{phone.temporary_files()[0]}" in line
    assert not json.exists()


@pytest.mark.slow
def test_phone_disconnected_during_a_copy(invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path) -> None:
    phone.disconnects_at = "SEND"
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program())
    assert code == 2
    line = one_line(error)
    assert f"cannot copy benchmark_model to the phone {phone.serial}: it was disconnected" in line
    assert "/data/local/tmp/hrnet_tf." in line


@pytest.mark.slow
def test_phone_that_reconnects_is_cleaned_up(
    invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb_module, "RECONNECT_S", 30.0)
    phone.disconnects_at, phone.reconnects = "--num_runs", True
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program(seconds=5))
    assert code == 2
    assert one_line(error).endswith("connect it again, and see `adb devices`")
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_failures_give_the_reason_of_the_tool(invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path) -> None:
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program("failed.txt", status=1))
    assert code == 2
    assert "benchmark_model failed on the phone: " in one_line(error)
    assert one_line(error).endswith("Node number 57 (BATCH_MATMUL) failed to prepare")
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program("memory.txt"))
    assert code == 2
    assert "benchmark_model printed no timings" in one_line(error)
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program("failed.txt", status=139))
    assert code == 2
    assert "(signal 11)" in one_line(error)
    broken = program()
    broken.write_bytes(broken.read_bytes()[:100])
    code, _, error = invoke("benchmark", model, "--benchmark-binary", broken)
    assert code == 2
    assert "cannot start the benchmark binary" in one_line(error)
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_interrupted_run_ends_on_the_phone(phone: EmulatedPhone, program: Program, model: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mobile_eval",
        "target",
        "android",
        "benchmark",
        model,
        "--benchmark-binary",
        program(seconds=60),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs ignore SIGINT
    running = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=restore_sigint
    )
    pids: list[Path] = []
    for _ in range(200):
        pids = [path for path in (phone.root / "tmp").glob("*/pid") if path.read_text().strip()]
        if pids:
            break
        time.sleep(0.1)
    pid = int(pids[0].read_text())
    os.killpg(running.pid, signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in error
    assert phone.temporary_files() == []
    time.sleep(0.5)
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--use-gpu", "--use-nnapi"), "--use-gpu and --use-nnapi"),
        (("--cores", "7-8"), "got '7-8'"),
        (("--cores", "0"), "got '0'"),
        (("--mode", "slow"), "'slow'"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_bad_options_end_in_one_line(invoke: Invoke, options: tuple[str, ...], message: str, model: Path, tmp_path: Path) -> None:
    code, _, error = invoke("benchmark", model, "--benchmark-binary", tmp_path / "none", *options)
    assert code == 2
    assert message in one_line(error)


def test_bad_files_end_in_one_line(invoke: Invoke, phone: EmulatedPhone, program: Program, model: Path, tmp_path: Path) -> None:
    code, _, error = invoke("benchmark", tmp_path / "none.tflite", "--benchmark-binary", program())
    assert code == 2
    assert "none.tflite" in one_line(error)
    model.write_text("hello")
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program())
    assert code == 2
    assert "a model.tflite" in one_line(error)
    model.write_bytes(b"\x1c\0\0\0TFL3")
    code, _, error = invoke("benchmark", model, "--benchmark-binary", tmp_path / "none")
    assert code == 2
    assert str(tmp_path / "none") in one_line(error)
    code, _, error = invoke("benchmark", model, "--benchmark-binary", program(), "--json", tmp_path)
    assert code == 2
    assert str(tmp_path) in one_line(error)
