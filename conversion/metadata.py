"""TFLite metadata: the description in the form that Google's readers know (TFLite Task Library, MediaPipe Tasks, ML Kit).

Metadata is a flatbuffer with a schema of its own (metadata_schema.fbs of tflite-support, version 1.1.0, identifier M001) in the
buffer TFLITE_METADATA of the model. The files that it names are in the zip at the end of the model. tflite-support, which writes
metadata, cannot be installed beside TensorFlow, so its few tables are written here with the flatbuffers library.

The readers run a classifier or segmenter whose input is a camera's bytes (`--input-type uint8-rgb`) and whose output is uint8 or
float32. They have no task for poses, landmarks or detectors like these: metadata of them describes inputs and outputs only.
"""

from __future__ import annotations

from collections.abc import Sequence

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from conversion.model_info import BYTE
from conversion.outputs import LOGITS, OUTPUT_NAMES, PROBABILITIES
from mobile_eval.image.geometry import BOX_PADDING
from mobile_eval.model.archive import MEMBER, labels_member
from mobile_eval.model.description import BOX_OUTPUTS, CLASS_MAPS, LOCATIONS, SCORES, ModelDescription, OutputTensor
from mobile_eval.tasks.detection.constants import CENTERS

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2  # in the union ContentProperties
NORMALIZATION_OPTIONS, SCORE_THRESHOLDING_OPTIONS = 1, 3  # in the union ProcessUnitOptions
NO_THRESHOLD = float(np.finfo(np.float32).min)  # by default readers drop classes with negative logits
RGB, GRAYSCALE = 1, 2
DESCRIPTIONS, TENSOR_AXIS_LABELS = 1, 2  # AssociatedFileType
LABELED_OUTPUTS = (*OUTPUT_NAMES.values(), PROBABILITIES, LOCATIONS, SCORES, CENTERS)  # have an entry for each keypoint or class
SEGMENTER, SEGMENTER_IDENTIFIER, SOFTMAX = "SEGMENTER_METADATA", b"V001", 2  # MediaPipe's image_segmenter_metadata_schema.fbs
CROP = "the box extended to the input's aspect ratio, then {padding:g} times as large; bilinear, black outside"
CROPS = {"pose": f"RGB crop around one person: {CROP}", "landmarks": f"RGB crop around one face: {CROP}"}

OFFSET, UINT32, UINT8, INT8, INT32, FLOAT = "UOffsetTRelative", "Uint32", "Uint8", "Int8", "Int32", "Float32"
Slot = tuple[int, str, float]  # number of the field, its type (one of those above), its value or offset


def with_metadata(flatbuffer: bytes, description: ModelDescription) -> bytes:
    """Store a description in a `.tflite` as TFLite metadata.

    Args:
        flatbuffer: The model, without metadata.
        description: Its description, whose outputs are in the file's order.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata(description), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = BUFFER_NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def metadata(description: ModelDescription) -> bytes:
    """Return a description as a metadata flatbuffer; its outputs must be in the order of the model's file."""
    builder = flatbuffers.Builder(1024)
    takes_images = description.output.kind != BOX_OUTPUTS
    source = _image(builder, description) if takes_images else _features(builder)
    outputs = [_output(builder, tensor, description) for tensor in description.outputs]
    slots: list[Slot] = [(2, OFFSET, _vector(builder, [source])), (3, OFFSET, _vector(builder, outputs))]
    if description.output.kind == CLASS_MAPS:
        slots.append((9, OFFSET, _vector(builder, [_segmenter(builder)])))
    graph = _table(builder, 10, *slots)
    files = [_file(builder, MEMBER, "full description, as JSON", DESCRIPTIONS)]
    if description.label_names:
        files.append(_file(builder, labels_member(description), _label_summary(description), DESCRIPTIONS))
    summary = f"{description.task}, {description.precision}, {_label_summary(description)}"
    model = _table(
        builder,
        8,
        (0, OFFSET, builder.CreateString(description.name)),
        (1, OFFSET, builder.CreateString(summary)),
        (3, OFFSET, _vector(builder, [graph])),
        (5, OFFSET, builder.CreateString(description.license)),
        (6, OFFSET, _vector(builder, files)),
        (7, OFFSET, builder.CreateString(PARSER_VERSION)),
    )
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def _label_summary(description: ModelDescription) -> str:
    if not description.label_names:
        return f"{len(description.outputs)} outputs"
    return f"{len(description.label_names)} {'classes' if description.classes else 'keypoints'}"


def _output(builder: flatbuffers.Builder, tensor: OutputTensor, description: ModelDescription) -> int:
    slots: list[Slot] = [
        (0, OFFSET, builder.CreateString(tensor.name)),
        (1, OFFSET, builder.CreateString(tensor.content)),
    ]
    if tensor.name == OUTPUT_NAMES[CLASS_MAPS]:
        slots.append((3, OFFSET, _masks(builder)))
    if tensor.name in LABELED_OUTPUTS and description.label_names:
        labels = _file(builder, labels_member(description), _label_summary(description), TENSOR_AXIS_LABELS)
        slots.append((6, OFFSET, _vector(builder, [labels])))
    if tensor.name == LOGITS:
        threshold = _table(builder, 1, (0, FLOAT, NO_THRESHOLD))
        unit = _table(builder, 2, (0, UINT8, SCORE_THRESHOLDING_OPTIONS), (1, OFFSET, threshold))
        slots.append((4, OFFSET, _vector(builder, [unit])))
    return _table(builder, 7, *slots)


def _image(builder: flatbuffers.Builder, description: ModelDescription) -> int:
    """Input metadata of an RGB image, with its normalization: (value - mean) / std for values from 0 to 255."""
    source = description.input
    height, width = source.size
    size = _table(builder, 2, (0, UINT32, width), (1, UINT32, height))
    properties = _table(builder, 2, (0, INT8, RGB), (1, OFFSET, size))
    content = _table(builder, 3, (0, UINT8, IMAGE_PROPERTIES), (1, OFFSET, properties))
    mean, std = ([BYTE * value for value in values] for values in (source.mean, source.std))
    normalization = _table(builder, 2, (0, OFFSET, _floats(builder, mean)), (1, OFFSET, _floats(builder, std)))
    unit = _table(builder, 2, (0, UINT8, NORMALIZATION_OPTIONS), (1, OFFSET, normalization))
    low, high = ([(end - m) / s for m, s in zip(mean, std, strict=True)] for end in (0.0, BYTE))
    stats = _table(builder, 2, (0, OFFSET, _floats(builder, high)), (1, OFFSET, _floats(builder, low)))
    text = CROPS.get(description.task, "RGB image").format(padding=BOX_PADDING)
    return _table(
        builder,
        7,
        (0, OFFSET, builder.CreateString("image")),
        (1, OFFSET, builder.CreateString(text)),
        (3, OFFSET, content),
        (4, OFFSET, _vector(builder, [unit])),
        (5, OFFSET, stats),
    )


def _features(builder: flatbuffers.Builder) -> int:
    """Input metadata of a detector's second file."""
    name, text = builder.CreateString("features"), builder.CreateString("pooled features of each proposal")
    content = _table(builder, 3, (0, UINT8, FEATURE_PROPERTIES), (1, OFFSET, _table(builder, 0)))
    return _table(builder, 7, (0, OFFSET, name), (1, OFFSET, text), (3, OFFSET, content))


def _masks(builder: flatbuffers.Builder) -> int:
    """Content of class maps: axes 1 and 2 are those of a grayscale image for each class."""
    properties = _table(builder, 2, (0, INT8, GRAYSCALE))
    axes = _table(builder, 2, (0, INT32, 1), (1, INT32, 2))
    return _table(builder, 3, (0, UINT8, IMAGE_PROPERTIES), (1, OFFSET, properties), (2, OFFSET, axes))


def _segmenter(builder: flatbuffers.Builder) -> int:
    """Metadata of MediaPipe's segmenter: probabilities are the softmax of the output."""
    options = flatbuffers.Builder(64)
    options.Finish(_table(options, 2, (0, INT8, SOFTMAX)), SEGMENTER_IDENTIFIER)
    data = builder.CreateByteVector(bytes(options.Output()))
    return _table(builder, 2, (0, OFFSET, builder.CreateString(SEGMENTER)), (1, OFFSET, data))


def _file(builder: flatbuffers.Builder, name: str, description: str, kind: int) -> int:
    texts = builder.CreateString(name), builder.CreateString(description)
    return _table(builder, 4, (0, OFFSET, texts[0]), (1, OFFSET, texts[1]), (2, INT8, kind))


def _table(builder: flatbuffers.Builder, fields: int, *slots: Slot) -> int:
    builder.StartObject(fields)
    for number, field_type, value in slots:
        getattr(builder, f"Prepend{field_type}Slot")(number, value, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.float32)))
