"""What `hrnet convert --plain-resizes` costs: accuracy and latency of int8 files before and after, by `hrnet compare`.

    python benchmarks/plain_resizes.py DATA OUTPUT

DATA has the folders `faces` and `camvid` of benchmarks/tasks.sh. The files are those in benchmarks/results.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conversion.targets.plain_resizes import with_plain_resizes
from mobile_eval.model.archive import read_description, save_model_file

RESULTS = Path(__file__).parent / "results"
DATA_OPTIONS = {
    "faces": ("--annotations", "faces/face_keypoints_val.json", "--images", "faces/images"),
    "camvid": ("--images", "camvid/val/images", "--masks", "camvid/val/masks"),
}
ROUNDS = 100


def main(data: Path, output: Path) -> None:
    """Measure both tasks, and print a row for each file."""
    for name, options in DATA_OPTIONS.items():
        before, after = RESULTS / name / "full-int8.tflite", output / name / "plain-int8.tflite"
        description = read_description(before)
        size = description.flatbuffer.size_bytes if description.flatbuffer else None
        plain = with_plain_resizes(before.read_bytes()[:size])
        save_model_file(after, plain.flatbuffer, description)
        paths = [str(data / word) if "/" in word else word for word in options]
        report = output / name / "report"
        command = [sys.executable, "-m", "hrnet_tf", "compare", str(before), str(after), *paths]
        subprocess.run([*command, "--rounds", str(ROUNDS), "--output", str(report)], check=True, stdout=subprocess.DEVNULL)
        results = json.loads((report / "results.json").read_text(encoding="utf-8"))
        print(f"{name}, {plain.replaced} resizes, {results['metric']['name']}:")
        for path, model in zip((before, after), results["models"], strict=True):
            latency_ms, size_mb = model["latency"]["p50_ms"], path.stat().st_size / 1e6
            print(f"  {model['label']}: {model['score']:.5f}, {latency_ms:.2f} ms, {size_mb:.2f} MB")
        second = results["models"][1]
        print(f"  95 % interval of the difference {second['score_difference_interval']}, ratio {second['latency_ratio']:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
