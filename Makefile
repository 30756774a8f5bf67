# `make demo` and `make test` are all that a newcomer needs; each makes .venv itself when it is missing.
# PYTHON=… picks an interpreter (3.11 to 3.13); otherwise the first that fits is taken.
.PHONY: demo test check bench format lock image clean

export DAGSTER_DISABLE_TELEMETRY = 1
# A platform is ten Python processes: without bytecode each compiles everything again.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= $(shell sh scripts/find-python)
BIN = .venv/bin
IMAGE ?= flowmaster-delivery:dev

demo: .venv/.installed
	$(BIN)/flowmaster demo $(DEMO)

test: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadscope $(TEST)

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed
	$(BIN)/python -m benchmarks $(BENCH)

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.installed
	sh scripts/lock

# BASE=… where the pinned base cannot be pulled; BUILD='--network host …' is handed to docker build.
image:
	sh scripts/image $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD)

.venv/.installed: requirements.lock pyproject.toml scripts/install
	sh scripts/install "$(PYTHON)"

clean:
	rm -rf .venv .flowmaster
