"""Copy what is worth keeping of a study: models, histories, rankings and plans, and the weights that other arms start from.

    python benchmarks/keep_study.py runs/lspet benchmarks/results/lspet/equal --weights base --half \
      --replace "$PWD/runs/lspet=STUDY" --replace /data/lspet=DATA
    python benchmarks/keep_study.py benchmarks/results/lspet/equal runs/lspet --weights base \
      --replace "STUDY=$PWD/runs/lspet" --replace DATA=/data/lspet

The second command makes a study that `hrnet study --resume` goes on with: arms whose models exist are finished. Weights are kept
in 16 bit, and are 32 bit again in the study.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hrnet_tf.runs.weights import load_weights, save_weights
from mobile_eval.model.archive import read_description, save_model_file
from mobile_eval.model.description import ModelDescription

TEXTS = (".json", ".csv", ".svg")
WEIGHTS = "weights.safetensors"


def kept(study: Path, with_weights: Sequence[str]) -> list[Path]:
    """Return the files to copy, relative to the study."""
    models = [*study.glob("*.tflite"), study / "study.json"]
    records = [path for path in study.glob("runs/*/*") if path.suffix in TEXTS]
    weights = [study / "runs" / name / WEIGHTS for name in with_weights]
    return [path.relative_to(study) for path in [*models, *records, *weights] if path.is_file()]


def copy(study: Path, target: Path, with_weights: Sequence[str], replacements: Mapping[str, str], dtype: type) -> int:
    """Copy the files, with words replaced in texts and weights in a type, and return how many bytes they take."""
    for file in kept(study, with_weights):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in TEXTS:
            (target / file).write_text(_replaced((study / file).read_text(), replacements))
        elif file.name == WEIGHTS:
            save_weights(target / file, {name: array.astype(dtype) for name, array in load_weights(study / file).items()})
        else:
            _copy_model(study / file, target / file, replacements)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _copy_model(source: Path, target: Path, replacements: Mapping[str, str]) -> None:
    """Copy a model with words replaced in its description."""
    description = read_description(source)
    if description.flatbuffer is None:
        raise SystemExit(f"{source} was not written by hrnet convert")
    text = _replaced(json.dumps(description.to_json()), replacements)
    flatbuffer = source.read_bytes()[: description.flatbuffer.size_bytes]
    save_model_file(target, flatbuffer, ModelDescription.from_json(json.loads(text)))


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", nargs="*", default=[], help="runs whose weights are kept")
    parser.add_argument("--replace", action="append", default=[], metavar="OLD=NEW", help="words to replace, such as paths")
    parser.add_argument("--half", action="store_true", help="keep weights in 16 bit")
    options = parser.parse_args()
    replacements = dict(pair.split("=", 1) for pair in options.replace)
    size = copy(options.study, options.target, options.weights, replacements, np.float16 if options.half else np.float32)
    print(f"{options.target}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
