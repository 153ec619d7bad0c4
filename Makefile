# `make demo` and `make test` need only Python, a C++17 compiler and this checkout.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# After a test's timeout ends a worker, xdist may wait for its replacement for ever: no replacement.
# By file: the fixtures of a file's tests are built once. (xdist 3.8 ignores groups on pytest 9.2.)
PYTEST = $(BIN)/pytest --numprocesses=auto --dist=loadfile --max-worker-restart=0

# For its model_config_pb2.py alone: its requirements would replace packages by older ones (ml_dtypes 0.5.4).
TRITON = $(BIN)/pip install --quiet --no-deps tritonclient

.PHONY: demo test test-all lint wheels clean
demo: $(VENV)
	$(BIN)/pip install --quiet '.[all]'
	$(BIN)/onnx-roialign demo

test: $(VENV)
	$(BIN)/pip install --quiet '.[all,test]'
	$(TRITON)
	$(PYTEST) -m "not long"

test-all: $(VENV)
	$(BIN)/pip install --quiet '.[all,test,wheels]'
	$(TRITON)
	$(PYTEST)

lint: $(VENV)
	$(BIN)/pip install --quiet '.[all,test,lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(wildcard kernels/*.[hc]* kernels/*/*.[hc]* kernels/*/*.inl kernels/*/*/*.[hc]* tests/kernels/*.c* tests/hosts/*.c* tests/package/wheels/*.c)

# dist/: the sdist and a wheel for each platform, cross-compiled; takes minutes the first time
wheels: $(VENV)
	$(BIN)/pip install --quiet '.[wheels]'
	$(BIN)/python .ci/wheels.py

$(VENV):
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist
