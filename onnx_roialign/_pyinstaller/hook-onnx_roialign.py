"""What an app that imports onnx_roialign needs beside the modules that PyInstaller finds in its imports."""  # noqa: N999

from PyInstaller.utils.hooks import collect_dynamic_libs

binaries = collect_dynamic_libs("onnx_roialign")
hiddenimports = ["onnx_roialign.ops.evaluator", "onnx_roialign._session"]  # imported when they are asked for
