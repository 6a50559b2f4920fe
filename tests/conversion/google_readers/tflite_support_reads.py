"""What tflite-support makes of models and an image: `python tflite_support_reads.py IMAGE.npy OUT.json MODEL...`.

Of each the metadata and the files that lie in it; of classifiers and segmenters also what the Task Library finds.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tflite_support import metadata
from tflite_support.task import vision


def read(path, image):
    """Classes and scores, or the classes of pixels; a text where the library refuses the model."""
    tensor = vision.TensorImage.create_from_array(image)
    try:
        if path.stem.startswith("classification"):
            [head] = vision.ImageClassifier.create_from_file(str(path)).classify(tensor).classifications
            return {"scores": {found.category_name: found.score for found in head.categories}}
        [segmentation] = vision.ImageSegmenter.create_from_file(str(path)).segment(tensor).segmentations
        names = [label.category_name for label in segmentation.colored_labels]
        return {"names": names, "mask": np.asarray(segmentation.category_mask).tolist()}
    except (RuntimeError, ValueError) as error:
        return {"refused": str(error)}


def metadata_of(path):
    """The metadata as JSON, and the names of the files that lie in the model."""
    shown = metadata.MetadataDisplayer.with_model_file(path)
    return {"metadata": json.loads(shown.get_metadata_json()), "files": shown.get_packed_associated_file_list()}


image, found = np.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    task = Path(path).stem.partition("-")[0]
    found[path] = metadata_of(path) | (read(Path(path), image) if task in ("classification", "segmentation") else {})
Path(sys.argv[2]).write_text(json.dumps(found))
