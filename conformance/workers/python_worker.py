"""The worker for Python: runs cases on an onnx.backend.base.Backend, with the protocol of PROTOCOL.md.

    python python_worker.py module:Class
    python python_worker.py path/to/file.py:Class

It is a single file that needs numpy and onnx and runs in the environment of the runtime under test. The class may have
the attributes `name`, `version` and `environment` (a dict).
"""

from __future__ import annotations

import glob
import importlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

# Names of exceptions that mean "unsupported": ONNX's, anywhere; while the model is prepared also Python's and ONNX
# Runtime's, which are raised if there is no kernel.
_UNSUPPORTED = frozenset({"BackendIsNotSupposedToImplementIt"})
_UNSUPPORTED_MODEL = _UNSUPPORTED | {"NotImplementedError", "NotImplemented"}
_DEVICE = "CPU"
_LONGEST_TEXT = 2000


class _UnsupportedError(Exception):
    pass


def main() -> None:
    """Replies to the requests on stdin; what the backend prints goes to stderr."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    backend = None
    for line in requests:
        request = json.loads(line)
        if request["do"] == "stop":
            return
        try:
            if request["do"] == "start":
                backend = _load(sys.argv[1])
                reply = _identity(backend, sys.argv[1])
            else:
                _run(backend, request["folder"])
                reply = {"status": "ok", "text": ""}
        except _UnsupportedError as error:
            reply = {"status": "unsupported", "text": str(error)}
        except Exception as error:
            reply = {"status": "error", "text": _text(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _load(spec: str) -> Any:
    module, colon, name = spec.rpartition(":")
    if not colon or not module or not name:
        raise ValueError(f"a backend must be given as module:Class or path/file.py:Class, got {spec!r}")
    sys.path.insert(0, "")  # modules in the current folder, as `python -m` finds them
    if module.endswith(".py"):
        if not os.path.isfile(module):
            raise FileNotFoundError(f"no file {module!r}")
        found = importlib.util.spec_from_file_location("conformance_backend", module)
        assert found is not None
        assert found.loader is not None
        loaded = importlib.util.module_from_spec(found)
        sys.modules[found.name] = loaded
        found.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    return getattr(loaded, name)


def _identity(backend: Any, spec: str) -> dict[str, Any]:
    environment = {"python": platform.python_version(), "numpy": np.__version__, "onnx": onnx.__version__}
    environment.update(getattr(backend, "environment", None) or {})
    name = getattr(backend, "name", None)
    version = getattr(backend, "version", None)
    return {
        "name": name if isinstance(name, str) else spec,
        "version": version if isinstance(version, str) else "",
        "environment": environment,
    }


def _run(backend: Any, folder: str) -> None:
    model = onnx.load(os.path.join(folder, "model.onnx"))
    data = os.path.join(folder, "test_data_set_0")
    inputs = [
        numpy_helper.to_array(onnx.load_tensor(os.path.join(data, f"input_{index}.pb")))
        for index in range(len(glob.glob(os.path.join(glob.escape(data), "input_*.pb"))))
    ]
    names = [output.name for output in model.graph.output]
    outputs = _outputs(backend, model, inputs)
    if isinstance(outputs, Mapping):
        missing = [name for name in names if name not in outputs]
        if missing:
            raise ValueError(f"outputs must have {', '.join(missing)}, got {', '.join(map(str, outputs))}")
        outputs = [outputs[name] for name in names]
    elif not isinstance(outputs, (list, tuple)):
        outputs = [outputs]
    for index, value in enumerate(outputs):
        name = names[index] if index < len(names) else ""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        onnx.save_tensor(tensor, os.path.join(data, f"output_{index}.pb"))


def _outputs(backend: Any, model: onnx.ModelProto, inputs: list[Any]) -> Any:
    supports_device = getattr(backend, "supports_device", None)
    if supports_device is not None and not supports_device(_DEVICE):
        raise _UnsupportedError(f"the backend does not support the device {_DEVICE}")
    is_compatible = getattr(backend, "is_compatible", None)
    if is_compatible is not None and not is_compatible(model, _DEVICE):
        raise _UnsupportedError("the backend is not compatible with the model")
    prepare = getattr(backend, "prepare", None)
    prepared = None if prepare is None else _called(_UNSUPPORTED_MODEL, prepare, model, _DEVICE)
    if prepared is None:
        return _called(_UNSUPPORTED, backend.run_model, model, inputs, _DEVICE)
    return _called(_UNSUPPORTED, prepared.run, inputs)


def _called(unsupported: frozenset[str], function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        if not unsupported.isdisjoint(parent.__name__ for parent in type(error).__mro__):
            raise _UnsupportedError(_text(error)) from error
        raise


def _text(error: Exception) -> str:
    message = " ".join(str(error).split())
    return (type(error).__name__ + (": " + message if message else ""))[:_LONGEST_TEXT]


if __name__ == "__main__":
    main()
