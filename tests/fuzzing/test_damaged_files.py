"""Damaged files: 200 seeded mutants are either read, or refused with an HRNetError of one line that names the file."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from mobile_eval.errors import HRNetError

from .sound_files import readers

KINDS = (
    "keypoints", "instances", "detections", "faces", "class names", ".png", ".jpg", "mask", "description", "graph", "model",
    "described model", "profile", "results", "manifest", "run.json", "spec.json", "ranking.json", "history.csv",
    "weights.safetensors", "training recipe", "quantization recipe", ".npz", ".safetensors",
)  # fmt: skip
MUTANTS = 200
PYTHON_MESSAGE = re.compile(r"\b[A-Z][A-Za-z]*(Error|Exception)\b|'\w+' object|not subscriptable|could not convert|Traceback")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    by_kind = readers(tmp_path)
    assert set(by_kind) == set(KINDS)
    reader = by_kind[kind]
    sound = reader.path.read_bytes()
    reader.read()
    first = KINDS.index(kind)
    refused = 0
    for seed in range(first, MUTANTS, len(KINDS)):
        reader.path.write_bytes(reader.damage(sound, Random(seed)))
        try:
            reader.read()
        except HRNetError as error:
            refused += 1
            line = str(error)
            assert "\n" not in line, seed
            assert str(reader.named or reader.path) in line, (seed, line)
            assert not PYTHON_MESSAGE.search(line), (seed, line)
    assert refused
