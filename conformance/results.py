"""RESULTS.md and RESULTS.html: the suite on every runtime that pip or npm installs, each in an environment of its own.

    python -m onnx_roialign.conformance.results ENVS [NAME...]

ENVS is a folder with an environment for each runtime, which is made where it is not there, and the run of each as
NAME.json. With names only these are run, and joined with the others' last runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.reports.document import joined, read
from onnx_roialign.conformance.reports.html import html
from onnx_roialign.conformance.reports.markdown import markdown

__all__ = ["RUNTIMES", "main"]

_HERE = Path(__file__).parent
_HEADER = """\
# Results of runtimes

What the suite finds at the newest versions that pip and npm install (and ONNX Runtime 1.20) on Linux x86-64;
[RESULTS.html](RESULTS.html) has every case with its inputs, values and the command that repeats it. A line is a cause
with its smallest case. "RoiAlign with" names the fields of `Semantics`, or the error of `mutants/`, that explains the
outputs. Written by

    python -m onnx_roialign.conformance.results envs

"""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime and where it comes from.

    Attributes:
        name: of its environment and its run.
        packages: what pip installs beside numpy and onnx; empty: it is here already, or npm installs it.
        backend: the built-in backend; empty: the program for Node.js runs the npm package of this name.
    """

    name: str
    packages: tuple[str, ...] = ()
    backend: str = ""


RUNTIMES = (
    Runtime("onnxruntime", ("onnxruntime",), "onnxruntime"),
    Runtime("onnxruntime-1.20", ("onnxruntime==1.20.*",), "onnxruntime"),
    Runtime("onnxruntime-node"),
    Runtime("onnxruntime-web"),
    Runtime("onnx-reference", (), "onnx-reference"),
    Runtime("openvino", ("openvino",), "openvino"),
    Runtime("onnxruntime-openvino", ("onnxruntime-openvino",), "onnxruntime-openvino"),
    Runtime("opencv", ("opencv-python-headless>=5",), "opencv"),
    Runtime("tvm", ("apache-tvm",), "tvm"),
    Runtime("mnn", ("MNN",), "mnn"),
    Runtime("emx-onnx-cgen", ("emx-onnx-cgen",), "emx"),
    Runtime("onnx2torch", ("onnx2torch", "torch", "torchvision"), "onnx2torch"),
)
_NODE = "node"  # one folder for both npm packages


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the suite on the runtimes and writes both pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("envs", type=Path, help="the folder of environments and runs")
    names = [runtime.name for runtime in RUNTIMES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(names):
        parser.error(f"NAME must be one of {', '.join(names)}, got {min(unknown)}")
    given.envs.mkdir(parents=True, exist_ok=True)
    for runtime in RUNTIMES:
        if not given.names or runtime.name in given.names:
            _run(runtime, given.envs)
    document = joined([read(_run_of(runtime, given.envs)) for runtime in RUNTIMES])
    (_HERE / "RESULTS.md").write_text(_HEADER + markdown(document), encoding="utf-8")
    (_HERE / "RESULTS.html").write_text(html(document, all_cases()), encoding="utf-8")
    return 0


def _run_of(runtime: Runtime, envs: Path) -> Path:
    return envs / f"{runtime.name}.json"


def _run(runtime: Runtime, envs: Path) -> None:
    command = [sys.executable, "-m", "onnx_roialign", "conform", *_options(runtime, envs), "--json"]
    sys.stderr.write(f"{' '.join(command)}\n")
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):  # 1: there are deviations
        raise SystemExit(done.returncode)
    _run_of(runtime, envs).write_bytes(done.stdout)


def _options(runtime: Runtime, envs: Path) -> list[str]:
    """The options of conform; the environment is made where it is missing."""
    if not runtime.backend:
        folder = envs / _NODE
        if not (folder / "node_modules").exists():
            folder.mkdir(exist_ok=True)
            shutil.copy(_HERE / "workers" / "package.json", folder)
            subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        return ["--worker", f"node {os.path.relpath(_HERE / 'workers' / 'node.mjs')} {runtime.name} {folder}"]
    if not runtime.packages:
        return ["--backend", runtime.backend]
    python = envs / runtime.name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", envs / runtime.name], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy", "onnx", *runtime.packages], check=True)
    return ["--backend", runtime.backend, "--python", str(python)]


if __name__ == "__main__":
    sys.exit(main())
