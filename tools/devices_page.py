"""Write docs/results/devices.md from docs/devices/*.json: `python -m tools.devices_page`."""

from __future__ import annotations

from pathlib import Path

from mobile_eval.benchmark.published import DEVICES, PublishedDevice, PublishedLatency, read_device

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "devices.md"
FILES = ROOT / DEVICES
HEAD = """# Measured devices

Latencies that users have measured on their devices and sent. This page is generated from the files in `docs/devices`
(`python -m tools.devices_page`). Add yours:

```
hrnet benchmark full-int8.tflite pruned-int8.tflite --threads 1,4 --publish "Raspberry Pi 5"
```

It writes `docs/devices/raspberry-pi-5.json`: names and checksums of the models, processor, system, runtime and figures, and no
paths, addresses or serial numbers. Look through it, and send it in a pull request by the template `device.md`. Rows with the same
checksum ran the same file, and can be compared.
"""
COLUMNS = ("model", "network", "precision", "runtime", "on the delegate", "threads", "p50 ms", "p90 ms", "p99 ms", "runs",
           "memory MiB", "measured")  # fmt: skip


def page() -> str:
    """Return the text of the page."""
    devices = [read_device(path) for path in sorted(FILES.glob("*.json"))]
    return "\n".join([HEAD, *map(_section, devices)])


def _section(device: PublishedDevice) -> str:
    facts = f"{device.processor}, {device.architecture}, {device.cores} cores; {device.system}, Python {device.python}"
    governor = "" if device.governor == "unavailable" else f"; governor {device.governor}"
    rows = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS), *map(_row, device.latencies)]
    return f"## {_cell(device.name)}\n{_cell(facts + governor)}\n\n" + "\n".join(rows) + "\n"


def _row(latency: PublishedLatency) -> str:
    taken = "not reported" if latency.operators is None else f"{latency.delegated} of {latency.operators}"
    memory = "" if latency.peak_memory_bytes is None else f"{latency.peak_memory_bytes / 2**20:.0f}"
    model = f"{_cell(latency.model)} (`{latency.sha256[:8]}`)"
    cells = (
        *(model, _cell(latency.network), _cell(latency.precision), _cell(latency.runtime), f"{taken}: {_cell(latency.delegate)}"),
        *(str(latency.threads), f"{latency.p50_ms:.2f}", f"{latency.p90_ms:.2f}", f"{latency.p99_ms:.2f}"),
        *(str(latency.runs), memory, latency.measured),
    )
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """A text as Markdown shows it, without any markup of its own."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>#|!" else character for character in text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
