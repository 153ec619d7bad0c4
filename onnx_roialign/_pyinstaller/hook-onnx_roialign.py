"""The files and modules of a frozen app that PyInstaller does not find in the imports."""  # noqa: N999

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("onnx_roialign")
hiddenimports = ["onnx_roialign.ops.evaluator", "onnx_roialign._session"]  # imported on first use
