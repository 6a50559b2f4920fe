"""The size of every preset against the official code."""

from __future__ import annotations

import pytest

from hrnet_tf.spec.complexity import complexity, parts
from hrnet_tf.spec.cost import total
from hrnet_tf.spec.network import BLOCKS, INTERPOLATIONS, TASKS, HRNetSpec
from hrnet_tf.spec.presets import PRESETS, customized, preset

# name: parameters; multiply-adds, if known exactly; multiply-adds / 1e9 and / 2**30
COUNTS = {
    "pose-w16": (7_445_889, 2_748_628_992, "2.749", "2.560"),  # counted apart, by a script that gives the official W32 and W48
    "pose-micro": (178_829, 17_897_472, "0.018", None),  # counted by hand, layer by layer
    "pose-w32": (28_536_113, 7_645_003_776, "7.645", "7.120"),
    "pose-w48": (63_595_745, 15_691_825_152, "15.692", "14.614"),
    "simple-baseline-r50": (33_999_697, 5_426_380_800, "5.426", "5.054"),
    "simple-baseline-r101": (52_991_825, 9_062_842_368, "9.063", "8.440"),
    "simple-baseline-r152": (68_635_473, 12_699_303_936, "12.699", "11.827"),
    "cpn-r50": (26_985_826, 6_661_865_472, "6.662", "6.204"),
    "cpn-r101": (
        45_977_954,
        10_298_327_040,
        "10.298",
        None,
    ),  # the port's, less its predictions
    "cpn-r50-pytorch": (26_985_826, 6_888_357_888, "6.888", "6.415"),
    "cpn-r101-pytorch": (45_977_954, 10_524_819_456, "10.525", None),
    "hourglass-1": (3_587_217, 4_354_277_376, "4.354", None),
    "hourglass-2": (6_731_682, 6_744_047_616, "6.744", None),
    "hourglass-4": (13_020_612, 11_523_588_096, "11.524", None),
    "hourglass-8": (25_598_472, 21_082_669_056, "21.083", "19.635"),
    "resnet-38": (28_331_432, 4_082_761_728, "4.083", "3.802"),
    "resnet-50": (25_586_344, 4_108_451_840, "4.108", "3.826"),
    "resnet-72": (48_402_856, 8_013_348_864, "8.013", "7.463"),
    "resnet-101": (44_578_472, 7_820_673_024, "7.821", "7.284"),
    "resnet-106": (64_933_288, 11_943_936_000, "11.944", "11.124"),
    "resnet-152": (60_222_120, 11_532_894_208, "11.533", "10.741"),
    "resnet-50-torchvision": (25_557_032, 4_089_184_256, "4.089", None),
    "resnet-101-torchvision": (44_549_160, 7_801_405_440, "7.801", None),
    "resnet-152-torchvision": (60_192_808, 11_513_626_624, "11.514", None),
    "deeplabv3-r101": (58_040_147, 1_909_910_405_120, "1909.910", "1778.743"),
    "deeplabv3-r101-torchvision": (58_630_483, 1_929_237_757_952, "1929.238", "1796.743"),
    "pspnet-r101": (65_707_475, 2_093_463_109_632, "2093.463", "1949.689"),
    "unetpp-r101": (59_537_849, 555_166_466_048, "555.166", "517.039"),
    "deeplabv3plus-x71": (43_477_323, 1_474_836_561_920, "1474.837", "1373.5"),
    "deeplabv3plus-x71-os16": (43_477_323, 503_913_709_568, "503.914", "469.3"),
    "deeplabv3plus-x71-smp": (43_463_915, 495_577_530_368, "495.578", "461.5"),
    "unetpp-r101-smp": (67_980_483, 1_998_703_296_512, "1998.703", None),
    # as ResNet-101's without 17 of 23 blocks of stage 3, of 1,114,112 weights and 3,072 numbers of BatchNorm, at 128x256
    "deeplabv3-r50": (39_048_019, 1_289_287_630_848, "1289.288", None),
    "deeplabv3-r50-torchvision": (39_638_355, 1_308_614_983_680, "1308.615", None),
    "pspnet-r50": (46_715_347, 1_472_840_335_360, "1472.840", None),
    "segment-w18": (9_641_119, None, "147.401", "137.278"),
    "segment-w40": (45_894_435, None, "535.447", "498.674"),
    "segment-w48": (65_859_379, None, "747.513", "696.176"),
    "segment-w18-ocr": (12_080_818, None, "423.426", "394.346"),  # by hand: the trunk above, and the head's 11 convolutions
    "segment-w48-ocr": (70_372_678, None, "1295.329", "1206.369"),
    "segment-small-v1": (1_540_819, None, "33.391", "31.098"),
    "segment-small-v2": (3_939_579, None, "76.857", "71.579"),
    "landmarks-w18": (9_662_528, None, "4.694", "4.371"),
    "frcnn-r50-fpn": (41_757_156, 185_096_305_408, "185.096", "172.384"),
    "frcnn-r101-fpn": (60_749_284, 257_067_940_608, "257.068", "239.413"),
    "frcnn-r152-fpn": (76_392_932, 329_039_575_808, "329.040", "306.442"),
    "frcnn-r50-fpn-pytorch": (41_757_156, None, None, "176.559"),
    "frcnn-r101-fpn-pytorch": (60_749_284, None, None, "243.588"),
    "frcnn-r152-fpn-pytorch": (76_392_932, 333_522_238_208, None, None),  # 4,482,662,400 more, as of the others
    "frcnn-x101-64x4d-fpn": (99_655_396, 410_038_795_008, "410.039", "381.878"),
    "detect-w18": (27_486_776, None, None, "159.09"),
    "detect-w32": (47_283_812, None, None, "245.37"),
    "detect-w40": (63_530_212, None, None, "314.90"),
    "detect-w48": (83_364_836, None, None, "399.16"),
    "classify-w18": (21_299_004, None, "4.284", "3.989"),
    "classify-w30": (37_712_220, None, "8.106", "7.549"),
    "classify-w32": (41_232_680, None, "8.921", "8.308"),
    "classify-w40": (57_557_160, None, "12.692", "11.820"),
    "classify-w44": (67_064_984, None, "14.883", "13.861"),
    "classify-w48": (77_469_864, None, "17.278", "16.091"),
    "classify-w64": (128_059_944, None, "28.895", "26.911"),
    "classify-small-v1": (13_187_464, None, "1.602", "1.492"),
    "classify-small-v2": (15_597_464, None, "2.596", "2.417"),
    "classify-w44-bottleneck": (21_931_192, None, "4.189", "3.901"),
    "classify-w76-bottleneck": (40_783_032, None, "7.841", "7.303"),
    "classify-w96-bottleneck": (57_481_512, None, "11.002", "10.246"),
}
# Small trunks with heads that only this package combines with them.
NOT_PUBLISHED = {f"{task}-small-{size}" for task in ("pose", "landmarks", "detect") for size in ("v1", "v2")}
NOT_PUBLISHED |= {"find-w18", "find-small"}
# classification trunks (all fusion links, no head): parameters, multiply-adds at 224x224
TRUNKS = {
    "classify-w18": (9_562_260, 3_281_983_152),
    "classify-w30": (25_812_276, 7_080_143_280),
    "classify-w32": (29_305_536, 7_891_480_576),
    "classify-w40": (45_521_216, 11_646_288_640),
    "classify-w44": (54_974_640, 13_829_368_000),
    "classify-w48": (65_325_120, 16_216_230_912),
    "classify-w64": (115_697_600, 27_801_518_080),
    "classify-small-v1": (1_477_920, 603_968_512),
    "classify-small-v2": (3_860_720, 1_594_158_944),
    "classify-w44-bottleneck": (9_840_848, 3_134_780_096),
    "classify-w76-bottleneck": (28_257_488, 6_723_217_088),
    "classify-w96-bottleneck": (44_683_968, 9_843_929_088),
}
# multiply-adds and parameters of all fusion links together
LINKS = {
    "pose-w32": (2_218_368, 383_778_816),
    "pose-w48": (4_983_360, 863_502_336),
    "segment-w18": (948_888, 6_356_828_160),
    "segment-w40": (4_665_040, 31_391_744_000),
    "segment-w48": (6_713_568, 45_204_111_360),
    "segment-small-v1": (240_768, 1_621_098_496),
    "segment-small-v2": (651_060, 4_517_462_016),
    "classify-w18": (948_888, 152_092_080),
    "classify-w48": (6_713_568, 1_081_543_680),
    "classify-w64": (11_926_144, 1_922_744_320),
    "classify-w44-bottleneck": (5_642_824, 908_797_120),
    "classify-w96-bottleneck": (26_813_376, 4_326_174_720),
}


def rounded(value: float, reference: str | None) -> str | None:
    return None if reference is None else f"{value:.{len(reference.partition('.')[2])}f}"


def test_every_preset_is_counted() -> None:
    assert set(PRESETS) == {*COUNTS, *NOT_PUBLISHED}


@pytest.mark.parametrize("name", COUNTS)
def test_official_counts(name: str) -> None:
    parameters, multiply_adds, by_1e9, by_2_30 = COUNTS[name]
    cost = complexity(preset(name))
    assert cost.parameters == parameters
    assert multiply_adds in (None, cost.multiply_adds)
    assert rounded(cost.multiply_adds / 1e9, by_1e9) == by_1e9
    assert rounded(cost.multiply_adds / 2**30, by_2_30) == by_2_30


@pytest.mark.parametrize(
    ("name", "size", "multiply_adds"),
    [
        ("pose-w32", (384, 288), 17_201_258_496),
        ("pose-w48", (384, 288), 35_306_606_592),
        ("simple-baseline-r152", (384, 288), 28_573_433_856),
    ],
)
def test_official_counts_at_another_size(name: str, size: tuple[int, int], multiply_adds: int) -> None:
    cost = complexity(customized(preset(name), input_size=size))
    assert (cost.parameters, cost.multiply_adds) == (COUNTS[name][0], multiply_adds)


@pytest.mark.parametrize("name", TRUNKS)
def test_official_trunks(name: str) -> None:
    trunk = total(cost for part, cost in parts(preset(name)).items() if part != "head")
    assert (trunk.parameters, trunk.multiply_adds) == TRUNKS[name]


@pytest.mark.parametrize("name", LINKS)
def test_official_links(name: str) -> None:
    links = total(cost for part, cost in parts(preset(name)).items() if "_link" in part)
    assert (links.parameters, links.multiply_adds) == LINKS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_number_of_links(name: str) -> None:
    pose = {"pose-w16": 53, "pose-w32": 53, "pose-w48": 53, "pose-small-v1": 11, "pose-small-v2": 35, "pose-micro": 4}
    expected = pose.get(name, 20 if name.endswith(("small-v1", "find-small")) else 44 if name.endswith("small-v2") else 62)
    assert len(preset(name).links) == (expected if isinstance(preset(name), HRNetSpec) else 0)


@pytest.mark.parametrize("name", PRESETS)
def test_names_match_the_networks(name: str) -> None:
    spec = preset(name)
    assert spec.name == name
    prefixes = {"pose": "pose", "segment": "segmentation", "landmarks": "landmarks", "detect": "detection",
                "classify": "classification", "simple": "pose", "cpn": "pose", "hourglass": "pose",
                "resnet": "classification", "deeplabv3": "segmentation", "deeplabv3plus": "segmentation",
                "pspnet": "segmentation", "unetpp": "segmentation", "frcnn": "detection", "find": "detection"}  # fmt: skip
    assert spec.task == prefixes[name.split("-")[0]]
    if isinstance(spec, HRNetSpec):
        assert spec.block == BLOCKS[name.endswith("bottleneck")]
        upsampling = "aligned" if name.endswith("ocr") else INTERPOLATIONS[spec.task in ("segmentation", "landmarks")]
        assert spec.interpolation == upsampling


def test_every_task_has_a_preset() -> None:
    assert {spec.task for spec in PRESETS.values()} == set(TASKS)
