"""Run tflite-support on models and an image: `python tflite_support_reads.py IMAGE.npy OUT.json MODEL...`.

The output has the metadata and associated files of each model, and the results of classifiers and segmenters.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tflite_support import metadata
from tflite_support.task import vision


def read(path, image):
    """Scores by class, or the class of each pixel; the message if the library refuses the model."""
    tensor = vision.TensorImage.create_from_array(image)
    try:
        if path.stem.startswith("classification"):
            [head] = vision.ImageClassifier.create_from_file(str(path)).classify(tensor).classifications
            return {"scores": {category.category_name: category.score for category in head.categories}}
        [segmentation] = vision.ImageSegmenter.create_from_file(str(path)).segment(tensor).segmentations
        names = [label.category_name for label in segmentation.colored_labels]
        return {"names": names, "mask": np.asarray(segmentation.category_mask).tolist()}
    except (RuntimeError, ValueError) as error:
        return {"error": str(error)}


def metadata_of(path):
    """The metadata as JSON, and the names of the associated files."""
    displayer = metadata.MetadataDisplayer.with_model_file(path)
    return {"metadata": json.loads(displayer.get_metadata_json()), "files": displayer.get_packed_associated_file_list()}


image, results = np.load(sys.argv[1]), {}
for path in sys.argv[3:]:
    task = Path(path).stem.partition("-")[0]
    results[path] = metadata_of(path) | (read(Path(path), image) if task in ("classification", "segmentation") else {})
Path(sys.argv[2]).write_text(json.dumps(results))
