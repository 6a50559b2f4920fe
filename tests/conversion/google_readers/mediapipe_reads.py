"""Run MediaPipe Tasks on models and an image: `python mediapipe_reads.py IMAGE.npy OUT.json MODEL...`."""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def read(path, image):
    """Scores by class, or probabilities of each class by pixel; the message if MediaPipe refuses the model."""
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
    base = BaseOptions(model_asset_path=str(path))
    try:
        if path.stem.startswith("classification"):
            with vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base)) as classifier:
                [head] = classifier.classify(picture).classifications
                return {"scores": {category.category_name: category.score for category in head.categories}}
        options = vision.ImageSegmenterOptions(base_options=base, output_confidence_masks=True)
        with vision.ImageSegmenter.create_from_options(options) as segmenter:
            masks = segmenter.segment(picture).confidence_masks
            probabilities = [mask.numpy_view().reshape(image.shape[:2]).tolist() for mask in masks]
            return {"names": segmenter.labels, "probabilities": probabilities}
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return {"error": str(error)}


image = np.load(sys.argv[1])
Path(sys.argv[2]).write_text(json.dumps({path: read(Path(path), image) for path in sys.argv[3:]}))
