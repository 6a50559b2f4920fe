"""CPN and the stacked hourglass: counts of the reference code, layers, and invalid specs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.spec.baselines.trace import traced
from hrnet_tf.spec.complexity import parts
from hrnet_tf.spec.cost import total
from hrnet_tf.spec.presets import customized, preset
from mobile_eval.errors import HRNetError
from tests.support.baselines import cpn, hourglass, trunk


@pytest.mark.parametrize(
    ("name", "size", "parameters", "multiply_adds"),
    [
        ("cpn-r50-pytorch", (256, 192), 27_406_826, 7_315_550_208),
        ("cpn-r101-pytorch", (256, 192), 46_398_954, 10_952_011_776),
        ("cpn-r50-pytorch", (384, 288), 27_406_826, 16_459_987_968),
        ("hourglass-8", (256, 192), 25_598_472, 21_082_669_056),
    ],
)
def test_official_counts_of_training_graphs(name: str, size: tuple[int, int], parameters: int, multiply_adds: int) -> None:
    cost = total(traced(customized(preset(name), input_size=size), auxiliary=True).parts().values())  # type: ignore[arg-type]
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


def test_official_counts_of_parts() -> None:
    costs = {part: (cost.parameters, cost.multiply_adds) for part, cost in parts(preset("cpn-r50")).items()}
    assert sum(costs[part][0] for part in costs if part.startswith("st")) == 23_508_032
    assert sum(costs[part][1] for part in costs if part.startswith("st")) == 3_777_232_896
    assert costs["global"] == (985_088 + 198_144, 377_487_360 + 264_241_152)
    assert costs["refine"] == (1_680_384 + 574_976, 360_972_288 + 1_761_607_680)
    assert costs["head"] == (39_168 + 34, 120_324_096)
    stacks = parts(preset("hourglass-8"))
    per_stack = 1_306_066_944 + 654_311_424 + 201_326_592 + 13_369_344
    assert stacks["stack7"].multiply_adds == per_stack
    assert stacks["stack0"].multiply_adds == per_stack + 201_326_592 + 13_369_344


def test_official_counts_of_the_authors_hourglass() -> None:
    spec = dataclasses.replace(preset("hourglass-8"), stem_width=128)  # type: ignore[call-arg]
    cost = total(parts(spec).values())
    assert cost.parameters == 25_437_960
    assert f"{cost.multiply_adds / 2**30:.3f}" == "19.178"
    assert total(parts(dataclasses.replace(spec, classes=16)).values()).parameters == 25_434_112


def test_cpn_refines_coarse_levels_by_more_blocks() -> None:
    names = [layer.name for layer in build_model(cpn()).layers if isinstance(layer, keras.layers.Conv2D)]
    blocks = {name.rsplit("_", 1)[0] for name in names if name.startswith("refine_level") and "shortcut" not in name}
    assert blocks == {f"refine_level{level}_block{block}" for level in range(3) for block in range(3 - level)}
    assert not [name for name in names if "predict" in name]


def test_aligned_upsampling_keeps_the_corners() -> None:
    maps = np.random.default_rng(0).standard_normal((2, 3, 4, 2)).astype(np.float32)
    result = np.asarray(Upsampling(4, "aligned")(maps))
    rows, columns = np.linspace(0, 2, 12), np.linspace(0, 3, 16)
    expected = np.empty((2, 12, 16, 2))
    for (row, y), (column, x) in ((r, c) for r in enumerate(rows) for c in enumerate(columns)):
        top, left = min(int(y), 1), min(int(x), 2)
        down, right = y - top, x - left
        upper = (1 - right) * maps[:, top, left] + right * maps[:, top, left + 1]
        lower = (1 - right) * maps[:, top + 1, left] + right * maps[:, top + 1, left + 1]
        expected[:, row, column] = (1 - down) * upper + down * lower
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_allclose(result[:, [0, -1]][:, :, [0, -1]], maps[:, [0, -1]][:, :, [0, -1]], atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "change", "offending"),
    [
        (cpn(), {"width": 3}, "`width` of a CPN.*got 3"),
        (cpn(), {"trunk": trunk(output_stride=8)}, "`output_stride`.*got 8"),
        (cpn(), {"classes": 0}, "`classes`.*got 0"),
        (hourglass(), {"stacks": 17}, "`stacks`.*got 17"),
        (hourglass(), {"width": 18}, "`width`.*multiple of 4.*got 18"),
        (hourglass(), {"stem_width": 1}, "`stem_width`.*got 1"),
        (hourglass(), {"input_size": (96, 64)}, "multiples of 64.*got 96x64"),
    ],
)
def test_invalid_specs(spec: Any, change: dict[str, Any], offending: str) -> None:
    with pytest.raises(HRNetError, match=offending):
        dataclasses.replace(spec, **change)
