# `make demo` and `make test` each start from nothing but Python, a C++17 compiler and this checkout.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint clean
demo: $(VENV)
	$(BIN)/pip install --quiet .
	$(BIN)/onnx-roialign demo

test: $(VENV)
	$(BIN)/pip install --quiet '.[test]'
	$(BIN)/pytest

lint: $(VENV)
	$(BIN)/pip install --quiet '.[test,lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror kernels/*.h kernels/*.cpp kernels/*.inl tests/*.cpp

$(VENV):
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist
