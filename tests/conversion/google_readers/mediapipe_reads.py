"""What MediaPipe Tasks make of models and an image: `python mediapipe_reads.py IMAGE.npy OUT.json MODEL...`."""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def read(path, image):
    """Classes and scores, or the probabilities of pixels' classes; a text where MediaPipe refuses the model."""
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
    base = BaseOptions(model_asset_path=str(path))
    try:
        if path.stem.startswith("classification"):
            with vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base)) as classifier:
                [head] = classifier.classify(picture).classifications
                return {"scores": {found.category_name: found.score for found in head.categories}}
        options = vision.ImageSegmenterOptions(base_options=base, output_confidence_masks=True)
        with vision.ImageSegmenter.create_from_options(options) as segmenter:
            masks = segmenter.segment(picture).confidence_masks
            shares = [mask.numpy_view().reshape(image.shape[:2]).tolist() for mask in masks]
            return {"names": segmenter.labels, "probabilities": shares}
    except (RuntimeError, ValueError, NotImplementedError) as error:
        return {"refused": str(error)}


image = np.load(sys.argv[1])
Path(sys.argv[2]).write_text(json.dumps({path: read(Path(path), image) for path in sys.argv[3:]}))
