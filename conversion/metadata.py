"""TFLite metadata: the description in the form that Android's and MediaPipe's readers know.

A flatbuffer of its own schema (metadata_schema.fbs of tflite-support, version 1.1.0, identifier M001) in the model's
buffer TFLITE_METADATA; the files it names lie in the zip at the model's end. tflite-support, which would write it, cannot
be installed beside TensorFlow; these few tables are written with the flatbuffers library.
"""

from __future__ import annotations

from collections.abc import Sequence

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from conversion.flatbuffer import BYTE
from mobile_eval.model_file import HEATMAPS, JOINTS_MEMBER, MEMBER, ModelDescription

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS = 2, 1  # their numbers in the unions ContentProperties and ProcessUnitOptions
RGB = 1
DESCRIPTIONS, TENSOR_AXIS_LABELS = 1, 2  # AssociatedFileType

OFFSET, UINT32, UINT8, INT8 = "UOffsetTRelative", "Uint32", "Uint8", "Int8"  # as flatbuffers calls kinds of fields
Slot = tuple[int, str, int]  # number of the field, its kind, its value or offset


def with_metadata(flatbuffer: bytes, description: ModelDescription) -> bytes:
    """The same model with `description` as TFLite metadata in it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    graph = model.subgraphs[0]
    buffer.data = np.frombuffer(metadata(description, [len(graph.tensors[i].shape) for i in graph.outputs]), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = BUFFER_NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def metadata(description: ModelDescription, outputs: Sequence[int] = ()) -> bytes:
    """The metadata flatbuffer. `outputs` are the numbers of axes of the model's outputs, in its order, where it decodes."""
    builder = flatbuffers.Builder(1024)
    image = _input(builder, description)
    joints = _file(builder, JOINTS_MEMBER, "the keypoints, in the model's order", TENSOR_AXIS_LABELS)
    answers = [_output(builder, name, said, joints) for name, said in _answers(description, outputs)]
    graph = _table(builder, 7, (2, OFFSET, _vector(builder, [image])), (3, OFFSET, _vector(builder, answers)))
    whole = _file(builder, MEMBER, "the whole description, for hrnet_tf", DESCRIPTIONS)
    said = f"{description.task}, {description.precision}, {len(description.category.joints)} keypoints"
    model = _table(
        builder,
        8,
        (0, OFFSET, builder.CreateString(description.name)),
        (1, OFFSET, builder.CreateString(said)),
        (3, OFFSET, _vector(builder, [graph])),
        (5, OFFSET, builder.CreateString(description.license)),
        (6, OFFSET, _vector(builder, [whole])),
        (7, OFFSET, builder.CreateString(PARSER_VERSION)),
    )
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def _answers(description: ModelDescription, outputs: Sequence[int]) -> list[tuple[str, str]]:
    """Name and meaning of each output."""
    stride = description.output.stride
    if description.output.kind == HEATMAPS:
        return [(HEATMAPS, f"one heatmap a keypoint, at stride {stride}")]
    locations = ("locations", f"x and y of each keypoint in quarters of a heatmap pixel, at stride {stride}")
    scores = ("scores", "score of each keypoint; not there where it is not positive")
    return [locations if axes == len("NKC") else scores for axes in outputs]


def _output(builder: flatbuffers.Builder, name: str, said: str, joints: int) -> int:
    names = builder.CreateString(name), builder.CreateString(said)
    return _table(builder, 7, (0, OFFSET, names[0]), (1, OFFSET, names[1]), (6, OFFSET, _vector(builder, [joints])))


def _input(builder: flatbuffers.Builder, description: ModelDescription) -> int:
    """An RGB image, and its normalization: (value - mean) / std of values from 0 to 255."""
    source = description.input
    height, width = source.size
    size = _table(builder, 2, (0, UINT32, width), (1, UINT32, height))
    properties = _table(builder, 2, (0, INT8, RGB), (1, OFFSET, size))
    content = _table(builder, 3, (0, UINT8, IMAGE_PROPERTIES), (1, OFFSET, properties))
    mean, std = ([BYTE * value for value in values] for values in (source.mean, source.std))
    normalization = _table(builder, 2, (0, OFFSET, _floats(builder, mean)), (1, OFFSET, _floats(builder, std)))
    unit = _table(builder, 2, (0, UINT8, NORMALIZATION_OPTIONS), (1, OFFSET, normalization))
    least, most = ([(end - m) / s for m, s in zip(mean, std, strict=True)] for end in (0.0, BYTE))
    stats = _table(builder, 2, (0, OFFSET, _floats(builder, most)), (1, OFFSET, _floats(builder, least)))
    return _table(
        builder,
        7,
        (0, OFFSET, builder.CreateString("image")),
        (1, OFFSET, builder.CreateString("RGB crop around one person")),
        (3, OFFSET, content),
        (4, OFFSET, _vector(builder, [unit])),
        (5, OFFSET, stats),
    )


def _file(builder: flatbuffers.Builder, name: str, description: str, kind: int) -> int:
    names = builder.CreateString(name), builder.CreateString(description)
    return _table(builder, 4, (0, OFFSET, names[0]), (1, OFFSET, names[1]), (2, INT8, kind))


def _table(builder: flatbuffers.Builder, fields: int, *slots: Slot) -> int:
    builder.StartObject(fields)
    for number, kind, value in slots:
        getattr(builder, f"Prepend{kind}Slot")(number, value, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.float32)))
