"""Parsing of recorded outputs of benchmark_model; see outputs/README.md."""

from __future__ import annotations

import pytest

from mobile_eval.android.benchmark_tool import (
    GPU,
    NNAPI,
    PhoneBackend,
    command,
    failure,
    parse_output,
    parse_placement,
    parse_profile,
)
from mobile_eval.android.state import parse_cores, parse_temperature
from mobile_eval.benchmark.latency import MODES
from mobile_eval.errors import HRNetError

from .conftest import OUTPUTS


def output(name: str) -> str:
    return (OUTPUTS / name).read_text()


def test_times_with_percentiles() -> None:
    timing = parse_output(output("partial.txt"), PhoneBackend())
    assert (timing.load_ms, timing.first_ms) == (207.799, 90.71)
    assert (timing.warmup.runs, timing.warmup.p50_ms) == (11, 42.611)
    steady = timing.steady
    assert (steady.runs, steady.p5_ms, steady.p50_ms, steady.p95_ms) == (24, 42.133, 42.419, 42.671)
    assert (steady.min_ms, steady.max_ms, steady.std_ms) == (41.938, 42.84, 0.188)
    assert steady.mean_ms == pytest.approx(42.3948)
    assert timing.init_bytes == round(23.5938 * 2**20)
    assert timing.overall_bytes == round(26.6797 * 2**20)
    assert timing.peak_bytes is None


def test_times_of_an_old_version() -> None:
    timing = parse_output(output("gpu_old.txt"), PhoneBackend(delegate=GPU))
    assert (timing.steady.mean_ms, timing.steady.p50_ms, timing.overall_bytes) == (119.375, None, None)


def test_times_of_one_run_and_in_androids_log() -> None:
    assert parse_output(output("cpu.txt"), PhoneBackend()).warmup.max_ms == 670.083
    timing = parse_output(output("nnapi_partial_logcat.txt"), PhoneBackend(delegate=NNAPI))
    assert (timing.steady.runs, timing.steady.mean_ms, timing.first_ms) == (75, 12.1676, 32.942)


def test_output_of_the_litert_tool() -> None:
    timing = parse_output(output("litert.txt"), PhoneBackend())
    assert (timing.load_ms, timing.first_ms, timing.steady.p50_ms) == (4.478, 1.033, 0.462)
    assert timing.init_bytes == round(8.94 * 2**20)
    operators = parse_profile(output("litert.txt"))
    assert [operator.ms for operator in operators] == [0.014, 0.291, 0.003, 0.382, 0.012]
    assert operators[3].kind == "Fully Connected (NC, PF32) GEMM"
    with_peak = "Peak memory:          93.24 MB\n" + output("litert.txt")
    assert parse_output(with_peak, PhoneBackend()).peak_bytes == round(93.24 * 2**20)


def test_peak_memory() -> None:
    assert parse_output(output("cpu.txt") + output("memory.txt"), PhoneBackend()).peak_bytes == round(13.1797 * 2**20)


def test_profile_from_csv() -> None:
    operators = parse_profile(output("profile.csv"))
    assert [operator.kind for operator in operators][:3] == ["CONV_2D", "ELU", "AVERAGE_POOL_2D"]
    assert len(operators) == 12
    assert operators[3].name == "[sequential_11/conv2d_34/Conv2D]:3"
    assert sum(operator.ms for operator in operators) == pytest.approx(0.2072, abs=1e-4)
    with pytest.raises(HRNetError, match="no profile"):
        parse_profile(output("cpu.txt"))


def test_profile_with_commas_and_delegate_internals() -> None:
    header = "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n"  # format since TFLite 2.8 (stats_calculator.cc)
    text = f"Operator-wise Profiling Info for Regular Benchmark Runs:\n{header}"
    text += "TfLiteXNNPackDelegate, 1, 1.5, 90%, 90%, 0, 1, [a\t b]:3\n\n"
    text += f"Delegate internal: \n{header}Convolution (NHWC, F32) IGEMM, 1, 0.75, 50%, 50%, 0, 2, Convolution:0\n"
    node, inside = parse_profile(text)
    assert (node.kind, node.name, node.ms, node.inside) == ("TfLiteXNNPackDelegate", "[a, b]:3", 1.5, False)
    assert (inside.kind, inside.ms, inside.calls, inside.inside) == ("Convolution (NHWC, F32) IGEMM", 0.75, 2, True)


@pytest.mark.parametrize(
    ("name", "backend", "counts", "shown"),
    [
        ("cpu.txt", PhoneBackend(), (49, 49, 1, {}), "49 of 49 operators ran on XNNPACK, in 1 partition"),
        ("gpu.txt", PhoneBackend(delegate=GPU), (49, 49, 1, {}), "49 of 49 operators ran on GPU, in 1 partition"),
        ("gpu.txt", PhoneBackend(delegate=NNAPI), (None, 0, 0, None), "NNAPI took no operators"),
        ("gpu_old.txt", PhoneBackend(delegate=GPU), (None, None, 1, {}), "the full model ran on GPU"),
        ("partial.txt", PhoneBackend(), (2168, 2136, None, None), "2136 of 2168 operators ran on XNNPACK; the rest on the CPU"),
        ("gpu_unsupported.txt", PhoneBackend(), (None, None, 22, None), "the model ran partly on XNNPACK, in 22 partitions"),
        ("gpu_unsupported.txt", PhoneBackend(delegate=GPU), (None, None, None, None), "benchmark_model does not report GPU"),
        ("gpu_old.txt", PhoneBackend(xnnpack=False), (None, None, None, None), "all operators ran on TFLite's own kernels"),
        (
            "litert.txt",
            PhoneBackend(xnnpack=False),
            (1, 1, 1, {}),
            "1 of 1 operators ran on XNNPACK",
        ),  # without that option
    ],
)
def test_parse_placement(name: str, backend: PhoneBackend, counts: tuple[object, ...], shown: str) -> None:
    placement = parse_placement(output(name), backend)
    assert (placement.operators, placement.delegated, placement.partitions, placement.remaining) == counts
    assert str(placement).startswith(shown)


def test_failures() -> None:
    with pytest.raises(HRNetError, match=r"Node number 57 \(BATCH_MATMUL\) failed to prepare$"):
        parse_output(output("failed.txt"), PhoneBackend())
    cut = output("cpu.txt").partition("INFO: Inference timings")[0]
    with pytest.raises(HRNetError, match="no timings"):
        parse_output(cut, PhoneBackend())
    assert failure("ERROR: Benchmarking failed.\n") == "Benchmarking failed"
    assert failure("Segmentation fault\n") == "Segmentation fault"
    assert failure("") == "it printed nothing"


def test_command_lines() -> None:
    line = command("/d", PhoneBackend(2, mask="0xF0"), MODES["full"], 6, ["--verbose=true"])
    assert line == (
        "taskset F0 /d/benchmark_model --graph=/d/model.tflite --num_threads=2 --use_xnnpack=true --num_runs=1024 "
        "--min_secs=60 --max_secs=86400 --warmup_runs=6 --warmup_min_secs=0 --verbose=true"
    )
    assert PhoneBackend(delegate=GPU).flags() == ["--num_threads=1", "--use_gpu=true", "--use_xnnpack=false"]
    assert PhoneBackend(mask="5").cores == (0, 2)


def test_parse_lists_of_the_phone() -> None:
    assert parse_cores("0-3,6") == (0, 1, 2, 3, 6)
    assert parse_cores("") == ()
    assert parse_temperature("zone cpu-0-0-usr=41200\nzone battery=99000\nzone BIG=43000\nzone cpu-1=\n") == 43.0
    assert parse_temperature("governor=x\n") == "unavailable"
