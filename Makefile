# `make demo` and `make test` are all that a newcomer needs; each makes .venv itself when it is missing.
# PYTHON=… picks an interpreter (3.11 to 3.13); otherwise the first that fits is taken.
.PHONY: demo test check audit sbom bench format lock image clean

export DAGSTER_DISABLE_TELEMETRY = 1
# A platform is ten Python processes: without bytecode each compiles everything again.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= $(shell sh scripts/find-python)
BIN = .venv/bin
AUDITING = .venv-audit/bin
IMAGE ?= flowmaster-delivery:dev
SBOM ?= dist/sbom.json

demo: .venv/.installed
	$(BIN)/flowmaster demo $(DEMO)

test: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadscope $(TEST)

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is known against what the image holds, and what bandit finds in the code. What could not be audited is said; CI ends
# with it (AUDIT names a file for it).
audit: .venv-audit/.installed
	$(AUDITING)/bandit --quiet --configfile pyproject.toml --recursive flowmaster_delivery supply_chain
	$(AUDITING)/python -m supply_chain.audit $(AUDIT)

sbom: .venv/.installed .venv-audit/.installed
	$(AUDITING)/python -m supply_chain.sbom $(BIN)/python $(SBOM)

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

.venv-audit/.installed: requirements-audit.lock scripts/install
	sh scripts/install "$(PYTHON)" .venv-audit requirements-audit.lock

clean:
	rm -rf .venv .venv-audit .flowmaster dist
