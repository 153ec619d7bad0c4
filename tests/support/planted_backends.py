"""Backends that misbehave, each in one way: `--backend tests/support/planted_backends.py:Class`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx.backend.base
from onnx.backend.test.runner import BackendIsNotSupposedToImplementIt
from onnx.reference import ReferenceEvaluator


class Right(onnx.backend.base.Backend):
    """onnx.reference: right on ONNX's own vectors."""

    name = "right"
    version = "1.2.3"

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return Prepared(cls, model)

    @classmethod
    def run(cls, model, inputs):
        names = [value.name for value in model.graph.input]
        return ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))

    @classmethod
    def misbehave(cls, model, inputs):
        return cls.run(model, inputs)

    @classmethod
    def meets_its_case(cls, model):
        """Whether this is the one case that the backend misbehaves on: mode max."""
        return any(attribute.s == b"max" for node in model.graph.node for attribute in node.attribute)


class Prepared(onnx.backend.base.BackendRep):
    def __init__(self, backend, model):
        self.backend, self.model = backend, model

    def run(self, inputs, **kwargs):
        if self.backend.meets_its_case(self.model):
            return self.backend.misbehave(self.model, inputs)
        return self.backend.run(self.model, inputs)


class Aborts(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        print("\x1b[0;93mthe roof\x1b[m is on fire", file=sys.stderr, flush=True)  # in colours
        os.abort()


class AbortsWithAStack(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        print("frame 1: pool + 7 in /opt/a-user/env/libpool.so", file=sys.stderr, flush=True)
        os.abort()


class Segfaults(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)


class Leaves(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        os._exit(0)


class Hangs(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        time.sleep(600)


class HangsInAStream(Right):
    """Prints without end, so that the suite never waits for output."""

    @classmethod
    def misbehave(cls, model, inputs):
        while True:
            os.write(2, b"x" * 1000 + b"\n")


class Allocates(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        blocks = []
        while True:
            blocks.append(np.ones(2**21))
            time.sleep(0.01)


class ChildAllocates(Right):
    """A child process allocates the memory, and outlives this process if nobody ends it."""

    @classmethod
    def misbehave(cls, model, inputs):
        code = "import time; kept = [bytes(range(256)) * 2**20 for _ in range(3)]; time.sleep(600)"
        subprocess.run([sys.executable, "-c", code], check=True)


class LeavesAChild(Right):
    """Ends while a child has its pipes open."""

    @classmethod
    def misbehave(cls, model, inputs):
        if os.fork() == 0:
            time.sleep(600)
        os._exit(3)


class Prints(Right):
    """Prints text that is no reply, and text that looks like one, to Python's and to the process's stdout."""

    @classmethod
    def run(cls, model, inputs):
        print("garbage")
        print('{"status": "unsupported", "text": "printed"}', flush=True)
        os.write(1, b'{"status": "unsupported", "text": "printed"}\n\xff\xfe\n')
        return super().run(model, inputs)

    @classmethod
    def meets_its_case(cls, model):
        return False


class Raises(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        raise RuntimeError("no\nidea")


class RefusesCase(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        raise BackendIsNotSupposedToImplementIt("mode max")


class NotCompatible(Right):
    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):
        return not cls.meets_its_case(model)


class NotOnThisDevice(Right):
    @classmethod
    def supports_device(cls, device):
        return False


class NotPrepared(Right):
    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        if cls.meets_its_case(model):
            raise NotImplementedError("mode max")
        return super().prepare(model, device)


class OnlyRunModel(Right):
    """Has no prepare of its own: onnx's returns None."""

    prepare = onnx.backend.base.Backend.prepare

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **kwargs):
        return cls.run(model, inputs)


class ByName(Right):
    @classmethod
    def run(cls, model, inputs):
        (output,) = super().run(model, inputs)
        return {"Z": output, model.graph.output[0].name: output}

    @classmethod
    def meets_its_case(cls, model):
        return False


class OfAnotherType(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        return [output.astype(np.float64) for output in cls.run(model, inputs)]


class OfAnotherShape(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        return [output[..., :1] for output in cls.run(model, inputs)]


class TwoOutputs(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        return [*cls.run(model, inputs)] * 2


class NoOutputs(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        return []


class NotANumber(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        (output,) = cls.run(model, inputs)
        output[0, 0, 1, 2] = np.nan
        return [output]


class NoArray(Right):
    @classmethod
    def misbehave(cls, model, inputs):
        return [object()]


class AlwaysAborts(Right):
    @classmethod
    def run(cls, model, inputs):
        os.abort()

    @classmethod
    def meets_its_case(cls, model):
        return False
