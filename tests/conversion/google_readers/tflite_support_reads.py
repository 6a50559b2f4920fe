"""What the TFLite Task Library makes of models and an image: `python tflite_support_reads.py IMAGE.npy OUT.json MODEL...`."""

import json
import sys
from pathlib import Path

import numpy as np
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


image = np.load(sys.argv[1])
Path(sys.argv[2]).write_text(json.dumps({path: read(Path(path), image) for path in sys.argv[3:]}))
