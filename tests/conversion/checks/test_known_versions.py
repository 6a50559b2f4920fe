"""The operators that tflite-runtime 2.14 supports, against that runtime."""

from __future__ import annotations

import json
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

from conversion.checks.verify import KNOWN_VERSIONS, check_versions
from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from hrnet_tf.backend.keras_module import keras
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter
from tests.support.environments import make_environment, python_of, run_script

pytestmark = [pytest.mark.slow, pytest.mark.external]
OPERATORS = {name: value for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_") and name != "CUSTOM"}
MAX_VERSION = 12  # above the highest supported version, which is 10
LIST_VERSIONS = """
import json, pathlib, sys
import numpy, tflite_runtime.interpreter as runtime
known = {}
for path in pathlib.Path(sys.argv[1]).glob("*.tflite"):
    name, version = path.stem.split("-")
    try:
        runtime.Interpreter(str(path))
    except (RuntimeError, ValueError) as error:
        if "Didn't find op for builtin opcode" in str(error) or "unsupported" in str(error).lower():
            continue
    known[name] = max(known.get(name, 0), int(version))
pathlib.Path(sys.argv[2]).write_text(json.dumps(known))
"""
RUN = """
import sys
import numpy, tflite_runtime.interpreter as runtime
interpreter = runtime.Interpreter(sys.argv[1])
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], numpy.load(sys.argv[2]))
interpreter.invoke()
numpy.save(sys.argv[3], interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tflite-runtime")
    return make_environment(folder / "env", python_of(((3, 11), (3, 10))), "tflite-runtime==2.14.0", "numpy<2")


def single_operator_model(operator: int, version: int) -> bytes:
    """A model of one operator."""
    code, source, target = schema.OperatorCodeT(), schema.TensorT(), schema.TensorT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), version
    source.shape, target.shape, source.name, target.name = [1], [1], "source", "target"
    graph, node, model = schema.SubGraphT(), schema.OperatorT(), schema.ModelT()
    node.inputs, node.outputs = [0], [1]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [source, target], [0], [1], [node]
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [code], [schema.BufferT()], [graph]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_known_versions_match_the_runtime(python: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, value in OPERATORS.items():
        for version in range(1, MAX_VERSION + 1):
            (tmp_path / "models" / f"{name}-{version}.tflite").write_bytes(single_operator_model(value, version))
    (tmp_path / "list_versions.py").write_text(LIST_VERSIONS)
    run_script(python, tmp_path / "list_versions.py", tmp_path / "models", tmp_path / "known.json")
    known = json.loads((tmp_path / "known.json").read_text())
    assert {name: version for name, version in known.items() if version < MAX_VERSION} == KNOWN_VERSIONS
    assert all(
        name.startswith("STABLEHLO_") or name in ("DILATE", "REDUCE_WINDOW") for name in known.keys() - KNOWN_VERSIONS.keys()
    )


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D", "Softmax"])
def test_pooling_and_softmax_run_on_tflite_runtime(name: str, precision: str, python: Path, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, getattr(keras.layers, name)()(keras.layers.Conv2D(4, 3)(image)))
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
    path = tmp_path / "m.tflite"
    path.write_bytes(to_flatbuffer(model, ConvertOptions(precision, "float32", "float32"), images))
    check_versions(path, "tflite-runtime")
    operators = TFLiteGraph(path).operators
    assert len(operators) >= 2
    np.save(tmp_path / "image.npy", images[:1])
    (tmp_path / "run.py").write_text(RUN)
    run_script(python, tmp_path / "run.py", path, tmp_path / "image.npy", tmp_path / "output.npy")
    interpreter = make_interpreter(path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    scales = {details["index"]: details["quantization"][0] for details in interpreter.get_tensor_details()}
    step = scales[operators[-1].inputs[0].index]  # scale of the last int8 tensor; 0 in float32
    np.testing.assert_allclose(np.load(tmp_path / "output.npy"), expected, rtol=1e-5, atol=1e-5 + 2 * step)
