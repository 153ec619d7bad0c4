"""Tests the README's Python: it runs as written, in order, from the top of the checkout."""

import re

import pytest
from paths import ROOT

from onnx_roialign import NativeLibraryError, RoiAlignError
from onnx_roialign.sessions import own_provider
from onnx_roialign.sessions.installed import loads_opset


def test_the_readme_runs_as_written(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    blocks = [
        block for block in blocks if not re.search(r"^(import|from) ray\b", block, re.M)
    ]  # tests/serving/test_ray.py
    assert len(blocks) >= 4
    names = {}
    if not loads_opset(22):  # the error of the first two lines on an old onnxruntime, as in the README's table
        with pytest.raises(RoiAlignError, match="model must be of opset 21 at most for onnxruntime"):
            exec(compile(blocks[0], "README.md", "exec"), names)
        blocks[0] = blocks[0].replace("opset22", "opset16")
    if not own_provider.is_supported():
        (by_provider,) = (block for block in blocks if 'door="provider"' in block)
        blocks.remove(by_provider)
        with pytest.raises(NativeLibraryError, match=r"onnxruntime must be 1\.24\.1 or newer for door 'provider'"):
            exec(compile(by_provider, "README.md", "exec"), names)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["Y"].shape == (1, 256, 7, 7)
    assert "boxes" in capsys.readouterr().out


def test_every_path_that_the_readme_links_to_exists():
    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
