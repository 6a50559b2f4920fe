"""Left and right: pairs by joint names, typed pairs, and the flip test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.datasets.flip_pairs import FACE_PAIRS, pairs_by_name, parse_flip_pairs, resolve_flip_pairs, words_without_side
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.keypoints.inference import DecodingOptions, flip_back, predict_box
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.viz.poses import CENTER_COLOR, LEFT_COLOR, RIGHT_COLOR, bone_colors, joint_colors
from tests.mobile_eval.conftest import JOINTS, SIZE, Invoke, People, one_line


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # left and right; joints without a counterpart come last
        ("left_eye,right_eye,nose", 1),
        ("LEFT_EYE,RIGHT_EYE,NOSE", 1),
        ("Left Shoulder,Right Shoulder,Neck", 1),
        ("left-hip,right-hip,root", 1),
        ("hind-left-foot,hind-right-foot,front-left-foot,front-right-foot,tail", 2),
        ("leftElbow,rightElbow,shoulderLeft,shoulderRight,headTop", 2),
        ("LowerLeftLeg,LowerRightLeg,Neck", 1),
        ("leftear,rightear,earleft,earright,cleft", 2),
        ("LeftEar,RightEar", 1),
        ("Left_Ear,right_ear", 1),
        ("ear (left),ear (right)", 1),
        ("left,right,middle", 1),
        ("left_eye,l_eye,right_eye,r_eye", 2),
        ("l_eye,right_eye", 1),
        # l and r
        ("l_ankle,r_ankle,pelvis", 1),
        ("L_Eye,R_Eye,Nose", 1),
        ("LHip,RHip,LBigToe,RBigToe,MidHip", 2),
        ("lShoulder,rShoulder,neck", 1),
        ("L.Ankle,R.Ankle", 1),
        ("paw_L,paw_R,tail_base", 1),
        ("Lfront,Rfront,Lhind,Rhind,snout", 2),
        ("Lfront,Rfront", 1),
        ("earL,earR,eyeL,eyeR,wingL,wingR,forelegL1,forelegR1,midlegL2,midlegR2,thorax,abdomen", 5),
        ("L,C,R", None),
        ("lhip,rhip,lkne,rkne,head", 2),
        ("LHIP,RHIP,LKNE,RKNE,HEAD", 2),
        ("LF,RF,LH,RH,nose", 2),
        ("lt_eye,rt_eye", 1),
    ],
)
def test_names_that_form_pairs(names: str, expected: int | None) -> None:
    """Consecutive names form pairs, left first, in the expected number."""
    listed = names.split(",")
    if expected is None:
        assert pairs_by_name(listed) == ((0, 2),)
        return
    if names.startswith("left_eye,l_eye"):
        assert pairs_by_name(listed) == ((0, 2), (1, 3))
        return
    assert pairs_by_name(listed) == tuple((2 * index, 2 * index + 1) for index in range(expected))
    assert pairs_by_name(listed[::-1]) == tuple(
        sorted((len(listed) - 1 - a, len(listed) - 1 - b) for a, b in pairs_by_name(listed))
    )


@pytest.mark.parametrize(
    "names",
    [
        "elbow,lip,rear,larynx,front,root,limb",
        "lip,rip",
        "elbow,erbow",
        "left_eye,left_ear,nose",  # without the right joints
        "l_eye,r_ear",
        "left_eye_1,right_eye_2",
        "upper_lip,lower_lip,rear_left",
        ",".join(f"point_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),  # letters that number joints
        "Rear,Lip,Larynx,Root,Rump",
        "leftover,rights,bright,cleft",
        "0,1,2",
    ],
)
def test_names_that_form_no_pairs(names: str) -> None:
    assert pairs_by_name(names.split(",")) == ()
    assert KeypointCategory.from_json({"name": "x", "keypoints": names.split(",")}).flip_pairs is None


def test_words_without_side() -> None:
    for name in ("left_hip", "LHip", "hipL", "Right Hip", "R-HIP", "lefthip"):
        assert words_without_side(name) == ("hip",)
    assert words_without_side("forelegL1") == ("foreleg", "1")
    assert (words_without_side("headTop"), words_without_side("left")) == (("head", "top"), ())
    sigmas = KeypointCategory.from_json({"name": "p", "keypoints": ["LHip", "R_Eye", "Head Top"]}).sigmas
    assert sigmas == (0.107, 0.025, 0.079)  # hip and eye of COCO, top of the head of CrowdPose


def test_face_markups() -> None:
    for count, pairs in FACE_PAIRS.items():
        listed = [index for pair in pairs for index in pair]
        assert len(set(listed)) == len(listed)
        assert set(listed) <= set(range(count))
    assert len(FACE_PAIRS[68]) == 29  # the pairs of the official dataset code
    assert {(96, 97), (60, 72), (0, 32)} <= set(FACE_PAIRS[98])


NAMES = ("nose", "near", "far", "left_eye", "right_eye", "4")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("near:far", ((1, 2),)),
        (" near : far , 3:right_eye", ((1, 2), (3, 4))),
        ("2:1", ((2, 1),)),
        ("0:4", ((0, 5),)),  # a name before a number
        ("none", ()),
        ("None", ()),
    ],
)
def test_typed_pairs(text: str, pairs: tuple[tuple[int, int], ...]) -> None:
    assert parse_flip_pairs(text, NAMES) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("near", "got 'near'"),
        ("near:far:nose", "got 'near:far:nose'"),
        ("", "got ''"),
        ("near:far,", "got '' in 'near:far,'"),
        ("near:wide", "'wide' is neither a keypoint (nose, near, far, left_eye, right_eye, 4)"),
        ("0:6", "'6' is neither a keypoint"),
        ("0:-1", "'-1' is neither a keypoint"),
        ("0:1.5", "'1.5' is neither a keypoint"),
        ("nose:nose", "nose occurs twice"),
        ("near:far,2:0", "far occurs twice"),
    ],
)
def test_invalid_typed_pairs(text: str, message: str) -> None:
    with pytest.raises(HRNetError, match="`flip_pairs`") as error:
        parse_flip_pairs(text, NAMES)
    assert message in str(error.value)


def test_typed_pairs_extend_known_pairs() -> None:
    known = ((0, 1), (2, 3))
    assert resolve_flip_pairs("auto", known, "abcdefg") == known
    assert resolve_flip_pairs("auto", None, "abcdefg") is None
    assert resolve_flip_pairs("e:f", known, "abcdefg") == ((0, 1), (2, 3), (4, 5))
    assert resolve_flip_pairs("b:e", known, "abcdefg") == ((1, 4), (2, 3))
    assert resolve_flip_pairs("e:f", None, "abcdefg") == ((4, 5),)
    assert resolve_flip_pairs("none", known, "abcdefg") == ()


def test_category_json_keeps_pairs() -> None:
    entry = {"name": "crab", "keypoints": ["a", "b", "left_c", "right_c"]}
    by_name = KeypointCategory.from_json(entry)
    assert by_name.to_json()["flip_pairs"] == [["left_c", "right_c"]]
    stated = KeypointCategory.from_json({**entry, "flip_pairs": [["a", "b"]]})
    assert stated.mirrored.tolist() == [1, 0, 2, 3]
    assert KeypointCategory.from_json({**entry, "flip_pairs": [[1, 0]]}).flip_pairs == ((1, 0),)
    for pairs in ([], [["a", "b"]]):
        category = KeypointCategory.from_json({**entry, "flip_pairs": pairs})
        assert KeypointCategory.from_json(json.loads(json.dumps(category.to_json()))) == category
    assert "flip_pairs" not in KeypointCategory.from_json({"name": "x", "keypoints": ["a", "b"]}).to_json()
    for wrong, message in (
        (5, "expected a list of pairs"),
        ([["a"]], "expected a list of pairs"),
        ([["a", "x"]], "'x' is neither"),
    ):
        with pytest.raises(HRNetError, match=f"category 'crab', flip_pairs: {message}"):
            KeypointCategory.from_json({**entry, "flip_pairs": wrong})


def test_colors_show_sides() -> None:
    names = ["RHip", "LHip", "Neck", "LKnee", "RKnee"]
    category = KeypointCategory.from_json({"name": "p", "keypoints": names, "skeleton": [[1, 5], [2, 4], [1, 2], [3, 1]]})
    left, right, middle = LEFT_COLOR, RIGHT_COLOR, CENTER_COLOR
    assert joint_colors(category) == [right, left, middle, left, right]
    assert bone_colors(category) == [right, left, middle, middle]


def renamed(**pairs: str) -> KeypointCategory:
    """Joint names with `first` and `second` in turn."""
    names = [f"joint_{index // 2}_{(pairs['first'], pairs['second'])[index % 2]}" for index in range(len(JOINTS))]
    return KeypointCategory.from_json({"name": "person", "keypoints": names})


@pytest.mark.parametrize(
    ("first", "second", "typed"), [("L", "R", "auto"), ("near", "far", ",".join(f"{i}:{i + 1}" for i in range(0, 16, 2)))]
)
def test_flip_test_swaps_sides(first: str, second: str, typed: str, model_path: Callable[..., Path]) -> None:
    model = TFLiteModel(model_path(category=renamed(first=first, second=second)))
    crops = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    outputs, mirrored = model.heatmaps(crops), model.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    order = np.array([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, 16])
    expected = decode_heatmaps((outputs + flip_back(mirrored, order)) / 2)
    keypoints = DecodingOptions(flip=True, flip_pairs=typed).keypoints(model, model.to_input(crops))
    np.testing.assert_allclose(keypoints, expected, atol=1e-6)
    alone = decode_heatmaps((outputs + flip_back(mirrored, np.arange(17))) / 2)
    keypoints = DecodingOptions(flip=True, flip_pairs="none").keypoints(model, model.to_input(crops))
    np.testing.assert_allclose(keypoints, alone, atol=1e-6)
    assert not np.allclose(expected, alone)


def test_mirroring_without_pairs_is_refused(invoke: Invoke, people: People, model_path: Callable[..., Path]) -> None:
    category = renamed(first="near", second="far")
    path = model_path(category=category)
    people.coco["categories"][0] |= {"keypoints": list(category.joints), "skeleton": []}
    people.rewrite()
    data = ("--annotations", people.annotations, "--images", people.images)
    code, _, error = invoke("evaluate", path, *data, "--flip")
    assert code == 2
    line = one_line(error)
    assert "float32.tflite: it is not known which of the 17 keypoints (joint_0_near, joint_0_far, joint_1_near, ...)" in line
    assert "--flip-pairs none" in line
    with pytest.raises(HRNetError, match="17 keypoints"):
        predict_box(TFLiteModel(path), np.zeros((90, 70, 3), np.uint8), (0, 0, 70, 90), DecodingOptions(flip=True))
    json_path = people.images.parent / "figures.json"
    code, _, _ = invoke("evaluate", path, *data, "--flip", "--flip-pairs", "0:1,joint_1_near:joint_1_far", "--json", json_path)
    assert code == 0
    assert json.loads(json_path.read_text())["options"]["flip_pairs"] == "0:1,joint_1_near:joint_1_far"
    assert invoke("evaluate", path, *data, "--flip", "--flip-pairs", "none")[0] == 0
    for options, message in (
        (("--flip-pairs", "none"), "--flip-pairs"),
        (("--flip", "--flip-pairs", "0:17"), "--flip-pairs 0:17: '17' is neither a keypoint (joint_0_near, "),
    ):
        code, _, error = invoke("evaluate", path, *data, *options)
        assert code == 2
        assert message in one_line(error)


def test_model_description_keeps_pairs(model_path: Callable[..., Path]) -> None:
    entry = {"name": "p", "keypoints": [f"k{index}" for index in range(17)], "flip_pairs": [["k0", "k1"]]}
    category = KeypointCategory.from_json(entry)
    path = model_path(category=category)
    assert read_description(path).category == category
    assert json.loads(path.with_suffix(".json").read_text())["category"]["flip_pairs"] == [["k0", "k1"]]


def test_pairs_in_annotation_files(people: People) -> None:
    people.coco["categories"][0]["flip_pairs"] = []
    people.rewrite()
    assert load_keypoint_dataset(people.annotations, people.images).category.flip_pairs == ()
