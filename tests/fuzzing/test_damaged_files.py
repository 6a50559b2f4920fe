"""Every reader survives damaged files: 200 seeded mutants end in nothing, or in one line that names the file."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from .sound_files import readers

KINDS = (
    "keypoints", "instances", "detections", "faces", "class names", ".png", ".jpg", "mask", "description", "graph", "model",
    "described model", "profile", "results", "manifest", "run.json", "spec.json", "ranking.json", "history.csv",
    "weights.safetensors", "training recipe", "quantization recipe", ".npz", ".safetensors",
)  # fmt: skip
MUTANTS = 200
OF_PYTHON = re.compile(r"\b[A-Z][A-Za-z]*(Error|Exception)\b|'\w+' object|not subscriptable|could not convert|Traceback")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_mutants(kind: str, tmp_path: Path) -> None:
    made = readers(tmp_path)
    assert set(made) == set(KINDS)
    reader = made[kind]
    sound = reader.path.read_bytes()
    reader.read()
    first = KINDS.index(kind)
    refused = 0
    for seed in range(first, MUTANTS, len(KINDS)):
        reader.path.write_bytes(reader.damage(sound, Random(seed)))
        try:
            reader.read()
        except ValueError as error:
            refused += 1
            line = str(error)
            assert "\n" not in line, seed
            assert str(reader.named or reader.path) in line, (seed, line)
            assert not OF_PYTHON.search(line), (seed, line)
    assert refused
