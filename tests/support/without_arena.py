"""A plugin of pytest: sessions without onnxruntime's arena, so that every tensor has a block of memory of its own size.

In an arena's large block a sanitizer does not see where one tensor ends and the next one begins.
"""

import onnxruntime


class _Options(onnxruntime.SessionOptions):
    def __init__(self) -> None:
        super().__init__()
        self.enable_cpu_mem_arena = self.enable_mem_pattern = False


onnxruntime.SessionOptions = _Options
