"""Random COCO keypoint files in COCO's form, and the same people in the forms of other tools."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Random = np.random.Generator
Coco = dict[str, Any]
NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Scene:
    """A file in COCO's form (`clean`), predicted keypoints (N, K, 3) of its labelled people in file order, and sigmas (K,)."""

    clean: Coco
    predicted: np.ndarray[Any, Any]
    sigmas: list[float]

    @property
    def joints(self) -> int:
        """Number of joints K."""
        return len(self.sigmas)


def draw_scene(random: Random) -> Scene:
    """Draw people of all sizes, unlabelled people and crowds. Annotation ids start at 1; areas are 0.53 of the box."""
    joints = int(random.choice([3, 17]))
    images = [{"id": i + 1, "file_name": f"{i}.png", "width": 320, "height": 240} for i in range(random.integers(1, 5))]
    annotations: list[dict[str, Any]] = []
    predicted = []
    for image in images:
        for _ in range(random.integers(0 if annotations else 1, 5)):
            x, y, width, height = *random.uniform(5, 100, 2), *random.uniform(20, 130, 2)
            points = np.column_stack(
                [random.uniform(0, 1, (joints, 2)) * [width, height] + [x, y], random.integers(0, 3, joints)]
            )
            kind = random.choice(["person", "person", "person", "crowd", "unlabelled"]) if annotations else "person"
            if kind == "person" and not points[:, 2].any():
                points[0, 2] = 2
            if kind != "person":
                points[:] = 0
            points[points[:, 2] == 0] = 0
            box = [float(v) for v in (x, y, width, height)]
            ids = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": 1, "iscrowd": int(kind == "crowd")}
            sizes = {"bbox": box, "area": 0.53 * width * height, "num_keypoints": int((points[:, 2] > 0).sum())}
            annotations.append({**ids, **sizes, "keypoints": points.reshape(-1).tolist()})
            if kind == "person":
                keypoints = points + np.append(random.normal(0, random.choice([1.0, 4.0, 15.0]), 2), 0)
                keypoints[:, 2] = random.uniform(0, 1, joints).round(1)
                predicted.append(keypoints)
    category = {"id": 1, "name": "person", "keypoints": [f"joint_{i}" for i in range(joints)], "skeleton": [[1, 2]]}
    clean = {"info": {}, "images": images, "annotations": annotations, "categories": [category]}
    return Scene(clean, np.array(predicted), random.uniform(0.03, 0.11, joints).tolist())


def as_other_tools_write(scene: Scene, random: Random) -> Coco:
    """The same people in the form of other tools, with a random choice of their habits."""
    coco = copy.deepcopy(scene.clean)
    for habit in (annotation_ids, image_ids, areas, counts, unlabelled_joints, crowds, flags, category_ids, skeletons):
        if random.random() < 0.5:
            habit(coco, random)
    return coco


def annotation_ids(coco: Coco, random: Random) -> None:
    """Ids from 0, duplicate ids, strings, or values that are no ids."""
    kinds: list[Callable[[int], Any]] = [
        lambda i: i, lambda i: i % 2, lambda i: f"a{i}", lambda i: 10**20 + i, lambda i: NAN, lambda i: [i], lambda i: None,
    ]  # fmt: skip
    kind = kinds[random.integers(len(kinds))]
    for index, entry in enumerate(coco["annotations"]):
        entry["id"] = kind(index)
    if random.random() < 0.2:
        del coco["annotations"][0]["id"]


def image_ids(coco: Coco, random: Random) -> None:
    """Ids as strings or numbers of any size, in the same order; images are shuffled, and one is listed twice."""
    count = len(coco["images"])
    numbers = sorted(random.choice(1000, count, replace=False).tolist())
    chosen: list[list[Any]] = [numbers, [float(n) for n in numbers], sorted(f"img-{n}" for n in numbers), list(range(count))]
    ids = chosen[random.integers(len(chosen))]
    for entry in coco["images"]:
        entry["id"] = ids[entry["id"] - 1]
    for entry in coco["annotations"]:
        entry["image_id"] = ids[entry["image_id"] - 1]
    random.shuffle(coco["images"])
    coco["images"] += [copy.deepcopy(coco["images"][0])]


def areas(coco: Coco, random: Random) -> None:
    """Invalid or missing areas, which default to 0.53 of the box."""
    for entry in coco["annotations"]:
        if random.random() < 0.5:
            entry["area"] = [0, 0.0, None, NAN, -1, INF][random.integers(6)]
        elif random.random() < 0.3:
            del entry["area"]


def counts(coco: Coco, random: Random) -> None:
    """Keypoint counts that are 0, wrong or missing."""
    for entry in coco["annotations"]:
        entry["num_keypoints"] = [0, None, NAN, 99][random.integers(4)]
        if random.random() < 0.3:
            del entry["num_keypoints"]


def unlabelled_joints(coco: Coco, random: Random) -> None:
    """Arbitrary coordinates of unlabelled joints."""
    values = [[NAN, NAN, 0], [None, None, 0], [None, None, None], [INF, -5, 0], [9999, 1, 0], [0, 0, -1], [NAN, 3, NAN]]
    for entry in coco["annotations"]:
        for start in range(0, len(entry["keypoints"]), 3):
            if entry["keypoints"][start + 2] == 0 and random.random() < 0.5:
                entry["keypoints"][start : start + 3] = values[random.integers(len(values))]


def crowds(coco: Coco, random: Random) -> None:
    """Additional crowds without the fields that COCO's evaluation reads."""
    image = coco["images"][0]["id"]
    annotation = {**coco["annotations"][0], "image_id": image, "iscrowd": 1}
    lacking = [
        {"keypoints": []},
        {"keypoints": None},
        {"keypoints": ["0"]},
        {"bbox": None},
        {"bbox": [1, 2, 0, 5]},
        {"image_id": 10**9},
    ]
    for change in lacking:
        if random.random() < 0.4:
            coco["annotations"].insert(int(random.integers(len(coco["annotations"]) + 1)), {**annotation, **change})
    bare = {key: value for key, value in annotation.items() if key not in ("bbox", "keypoints")}
    coco["annotations"].append({**bare, "segmentation": {"counts": [1], "size": [96, 80]}})


def flags(coco: Coco, random: Random) -> None:
    """`iscrowd` as a boolean, a float, null or missing."""
    for entry in coco["annotations"]:
        if entry["iscrowd"]:
            entry["iscrowd"] = [True, 1.0][random.integers(2)]
        elif random.random() < 0.5:
            entry["iscrowd"] = [False, 0.0, None][random.integers(3)]
        else:
            del entry["iscrowd"]


def category_ids(coco: Coco, random: Random) -> None:
    """Category ids as strings, 0 or floats; and more categories with invalid annotations."""
    category_id = ["person", 0, 7.0, "7", 10**12][random.integers(5)]
    coco["categories"][0]["id"] = category_id
    for entry in coco["annotations"]:
        entry["category_id"] = category_id
    others = [
        {"id": 50, "name": "dog", "keypoints": ["tail"]},
        {"id": "b", "name": "cat", "keypoints": ["ear"]},
        {"id": 52, "name": "tree"},
    ]
    for category in others:
        coco["categories"].insert(int(random.integers(2)), category)
        for _ in range(random.integers(0, 3)):
            fields = [{"keypoints": ["x"]}, {"bbox": [NAN] * 4}, {"image_id": None}][random.integers(3)]
            coco["annotations"].append({"category_id": category["id"], **fields})


def skeletons(coco: Coco, random: Random) -> None:
    """Skeletons counted from 0, of missing joints, or of a wrong type."""
    values = [[[0, 1]], [[1, 99]], [[-1, 2]], None, "none", [[1]], [["a", "b"]], [1, 2], [[1, 2, 3]], [[1.5, 2]]]
    person = next(entry for entry in coco["categories"] if entry["name"] == "person")
    person["skeleton"] = values[random.integers(len(values))]


def first_person(coco: Coco) -> dict[str, Any]:
    person: dict[str, Any] = next(entry for entry in coco["annotations"] if any(entry["keypoints"]))
    return person


def _normalized(coco: Coco) -> None:
    for entry in coco["annotations"]:
        entry["bbox"] = [value / 400 for value in entry["bbox"]]
        entry["keypoints"] = [v if i % 3 == 2 else v / 400 for i, v in enumerate(entry["keypoints"])]


def _texts(coco: Coco) -> None:
    first_person(coco)["keypoints"] = list(map(str, first_person(coco)["keypoints"]))


def _one_category_id(coco: Coco) -> None:
    coco["categories"].append({**coco["categories"][0], "name": "b"})


def _one_id(coco: Coco) -> None:
    coco["images"].append({**coco["images"][0], "file_name": "1.png"})
    coco["images"][0]["file_name"] = "0.png"


REFUSED: dict[str, tuple[Callable[[Coco], Any], str]] = {
    "keypoints are texts": (_texts, "must be numbers, got '"),
    "no keypoints": (lambda c: first_person(c).pop("keypoints"), "has no keypoints"),
    "empty keypoints": (lambda c: first_person(c).update(keypoints=[]), "has no keypoints"),
    "too few keypoints": (lambda c: first_person(c)["keypoints"].pop(), "keypoint numbers, expected 3 x"),
    "no bbox": (lambda c: first_person(c).pop("bbox"), "has no bbox"),
    "bbox is null": (lambda c: first_person(c).update(bbox=None), "bbox must be [x, y, width, height], got None"),
    "bbox is NaN": (lambda c: first_person(c).update(bbox=[NAN, 1, 20, 20]), "bbox must be finite"),
    "bbox is infinite": (lambda c: first_person(c).update(bbox=[1, 1, INF, 20]), "bbox must be finite"),
    "bbox is huge": (lambda c: first_person(c).update(bbox=[1, 1, 2**63, 20]), "within 1,000,000 pixels"),
    "bbox is beyond every float": (lambda c: first_person(c).update(bbox=[1, 1, 10**400, 20]), "bbox must be [x, y"),
    "bbox holds texts": (lambda c: first_person(c).update(bbox=["1", "1", "9", "9"]), "bbox must be [x, y"),
    "bbox without area": (lambda c: first_person(c).update(bbox=[1, 1, 0, 20]), "has no area"),
    "bbox inside out": (lambda c: first_person(c).update(bbox=[30, 30, -9, 20]), "has no area"),
    "bbox outside": (lambda c: first_person(c).update(bbox=[900, 1, 20, 20]), "lies outside the 320x240 image"),
    "iscrowd is a text": (lambda c: first_person(c).update(iscrowd="0"), "iscrowd must be 0 or 1, got '0'"),
    "no image_id": (lambda c: first_person(c).pop("image_id"), "has no image_id"),
    "image_id of no image": (lambda c: first_person(c).update(image_id=[1]), "image_id [1] is not among"),
    "category_id of no category": (lambda c: first_person(c).update(category_id=33), "category_id 33 is not among"),
    "an annotation is a number": (lambda c: c["annotations"].append(5), "must be an object, got 5"),
    "no width": (lambda c: c["images"][0].pop("width"), "its width must be a whole number of pixels, got None"),
    "height is a text": (lambda c: c["images"][0].update(height="240"), "its height must be a whole number of pixels, got '240'"),
    "height is infinite": (lambda c: c["images"][0].update(height=INF), "its height must be a whole number of pixels, got inf"),
    "image without id": (lambda c: c["images"][0].pop("id"), "its id must be a whole number or a string, got None"),
    "image without file_name": (lambda c: c["images"][0].update(file_name=7), "its file_name must be a string, got 7"),
    "images of one id": (_one_id, "two images, 0.png and 1.png, have the id"),
    "images is no list": (lambda c: c.update(images={}), "its images must be a list"),
    "no annotations": (lambda c: c.pop("annotations"), "its annotations must be a list"),
    "joints are numbers": (lambda c: c["categories"][0].update(keypoints=[1, 2]), "its keypoints must be a list of names"),
    "sigmas are texts": (lambda c: c["categories"][0].update(sigmas=["a"]), "its sigmas must be a list of numbers"),
    "categories of one id": (_one_category_id, "two categories, person and b, have the id"),
    "shares of the image": (_normalized, "must be in pixels"),
    "a labelled joint is NaN": (lambda c: first_person(c)["keypoints"].__setitem__(slice(3), [NAN, NAN, 2]), "at (nan, nan)"),
}  # fmt: skip
