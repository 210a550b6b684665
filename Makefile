# Everything here needs Python 3.11, git and make, and nothing else; `make` alone tells what there is.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix js
NODE_READY := js/node_modules/.ready
DOCS_READY := .venv-docs/.ready
COMPARE_READY := build/compare/.ready
ARGS ?=
SITE ?= build/site/versions

# Tests start hundreds of Python processes, which would each compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check check-style check-types check-js check-docs format build model storm fleet sockets browsers bound runtimes frameworks clients interop bench bench-peers compare docs docs-serve docs-version lock clean \
	pythons oldest migrations mutants dist sbom version

help: ## tell what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(READY) ## make .venv with everything in it

$(READY): requirements/dev.txt pyproject.toml js/package.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Daypass needs Python 3.11 or later; say which: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## watch tokens expire and nobody notice (ARGS="--for 20 --json")
	@$(BIN)/daypass demo $(ARGS)

test: $(READY) ## run the tests (ARGS="-k refresh")
	$(BIN)/python -m pytest -n $$((2 * $$(nproc))) --dist worksteal $(ARGS)

check: $(READY) $(NODE_READY) ## what a reviewer would nag about
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-style check-js check-docs

check-style: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check-types: $(READY)
	$(BIN)/mypy

check-js: $(NODE_READY)
	@$(NPM) run --silent check

check-docs: $(READY)
	$(BIN)/python -m pytest -q tests/docs

format: $(READY) ## put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(NODE_READY) ## build daypass.js, the browser's client, from js/
	@$(NPM) run --silent build

$(NODE_READY): $(READY) js/package-lock.json
	@$(NPM) ci --silent --ignore-scripts
	@touch $@

model: $(READY) ## explore the rotation rule deeper than the tests do (ARGS="--help")
	$(BIN)/python -m tests.model $(ARGS)

storm: $(READY) ## torture it on real processes for two minutes (ARGS="--store postgres --seed 1")
	$(BIN)/python -m tests.storm $(ARGS)

fleet: $(READY) ## share connections among three machines, and kill, stop and fail over what can be (ARGS="--campaign kills")
	$(BIN)/python -m tests.fleet $(ARGS)

sockets: $(READY) ## keep ten thousand WebSockets open over ten expiries (ARGS="--sockets 1000 --lifetime 30")
	$(BIN)/python -m tests.sockets $(ARGS)

browsers: $(READY) ## drive every client, fetch, axios, React and Vue, in every browser engine
	DAYPASS_TEST_BROWSERS=full $(BIN)/python -m pytest -n $$(nproc) --dist worksteal $(ARGS) tests/browser/test_session.py \
		tests/browser/test_tabs.py tests/browser/test_contexts.py tests/browser/test_surroundings.py \
		tests/browser/test_install.py tests/browser/test_cors.py

bound: $(READY) ## bind sessions of real browsers to a key, on every store, and behind nginx
	DAYPASS_TEST_BOUND=full $(BIN)/python -m pytest -q $(ARGS) tests/browser/test_bound.py tests/browser/bound_behind_nginx.py

runtimes: $(READY) ## render pages by daypass/server in Bun and Deno, too
	DAYPASS_TEST_RUNTIMES=full $(BIN)/python -m pytest -q $(ARGS) tests/rendering

frameworks: $(READY) ## build the examples in Nuxt and SvelteKit, and drive them, Socket.IO and SignalR in a browser
	$(BIN)/python -m pytest -q $(ARGS) tests/browser/with_nuxt_and_sveltekit.py tests/browser/frontend/with_socket_libraries.py

clients: $(READY) ## take every client through every scenario, and write docs/scenarios.md
	$(BIN)/python -m daypass.testing.client_table docs/scenarios.md

interop: $(READY) ## talk to OAuth clients and servers that nobody here wrote, by DPoP too; and Auth.js
	@test -x build/interop/bin/python || $(PYTHON) -m venv build/interop
	@build/interop/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/interop.txt
	$(BIN)/python -m pytest -q $(ARGS) tests/oauth/test_node_clients.py tests/oauth/test_python_clients.py \
		tests/dpop/test_interop.py tests/dpop/with_python_software.py tests/migrations/with_auth_js.py

bench: $(READY) $(NODE_READY) ## what things cost, against a floor measured in the same run
	@for each in checking guarding in_process importing requesting waiting refreshing removing workers ending; do $(BIN)/python benchmarks/$$each.py || exit 1; done

bench-peers: $(COMPARE_READY) ## the same against other libraries, which are installed in build/compare
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/peers.py
	@$(BIN)/python benchmarks/guarding.py --servers

compare: $(COMPARE_READY) ## run this project and its peers through the same storms, and write docs/comparison.md
	@$(BIN)/python -m compare $(ARGS)

$(COMPARE_READY): $(READY) requirements/compare.txt compare/package-lock.json
	@test -x build/compare/python/bin/python || $(PYTHON) -m venv build/compare/python
	@build/compare/python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/compare.txt
	@mkdir -p build/compare/node && cp compare/package.json compare/package-lock.json build/compare/node
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix build/compare/node ci --silent --ignore-scripts
	@touch $@

docs: $(DOCS_READY) ## build the documentation site in build/site/html
	@$(BIN)/python site/pages.py build/site
	@cd build/site && ../../.venv-docs/bin/zensical build --clean --strict

docs-serve: $(DOCS_READY) ## show the documentation site at http://127.0.0.1:8001
	@$(BIN)/python site/pages.py build/site
	@cd build/site && ../../.venv-docs/bin/zensical serve --dev-addr 127.0.0.1:8001

docs-version: docs ## put the built site beside those of other versions (SITE=build/site/versions)
	@$(BIN)/python site/versions.py build/site/html $(SITE)

$(DOCS_READY): $(READY) requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

lock: $(READY) ## pin the development requirements anew
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --group dev --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --upgrade requirements/docs.in --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --output-file requirements/docs.txt
	$(BIN)/uv pip compile --quiet --upgrade requirements/compare.in --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --output-file requirements/compare.txt
	$(BIN)/uv pip compile --quiet --upgrade requirements/interop.in --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --output-file requirements/interop.txt

UV = $(BIN)/uv
$(UV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

pythons: $(UV) ## run the core of the tests on each version of Python (ARGS="3.13 -- tests/core")
	$(BIN)/python -m tests.release.pythons $(ARGS)

oldest: $(UV) ## run them with the lowest version of each dependency
	$(BIN)/python -m tests.release.pythons --oldest $(ARGS)

migrations: $(READY) ## move 10,000 sessions of each other library to Daypass and back, and count logouts (ARGS="--users 500 authx")
	$(BIN)/python -m tests.migrations $(ARGS)

mutants: $(READY) ## change the core in small ways, and see that a test notices (ARGS="--seconds 600 rotation")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check cosmic-ray
	$(BIN)/python -m tests.mutants $(ARGS)

dist: $(READY) ## build the sdist, from it the wheel, and try both in bare environments
	rm -rf dist && $(BIN)/hatchling build -t sdist -d dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz
	@for each in dist/*.whl dist/*.tar.gz; do \
		rm -rf dist/.bare && $(PYTHON) -m venv dist/.bare \
		&& dist/.bare/bin/python -m pip install --quiet --disable-pip-version-check $$each \
		&& (cd dist && .bare/bin/python -I ../tests/release/smoke.py $$(ls *.whl | cut -d- -f2)) || exit 1; \
	done
	@for each in metrics completion opentelemetry; do \
		rm -rf dist/.bare && $(PYTHON) -m venv dist/.bare \
		&& dist/.bare/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo dist/*.whl)[server,$$each]" \
		&& (cd dist && .bare/bin/python -I ../tests/release/smoke.py $$(ls *.whl | cut -d- -f2) $$each) || exit 1; \
	done; rm -rf dist/.bare

sbom: ## write what the wheel brings along to sbom.json (CycloneDX)
	@rm -rf .sbom && $(PYTHON) -m venv --without-pip .sbom/wheel && $(PYTHON) -m venv .sbom/tool
	.sbom/tool/bin/python -m pip --python .sbom/wheel/bin/python install --quiet --disable-pip-version-check "$$(echo dist/*.whl)[server,postgres,redis]"
	.sbom/tool/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom
	.sbom/tool/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json .sbom/wheel/bin/python
	@rm -rf .sbom

version: $(NODE_READY) ## write a version: into the one place that has it, the changelog and what is built (V=0.2.0)
	@$(if $(V),,$(error say which version: make version V=0.2.0))
	@$(NPM) version --silent --no-git-tag-version $(V)
	@sed -i "s/^## Unreleased\$$/## $(V) ($$(date -u +%F))/" CHANGELOG.md
	@$(NPM) run --silent build
	@touch $(NODE_READY) pyproject.toml

clean: ## remove what was made
	rm -rf .venv .venv-docs .migrations .sbom build dist sbom.json .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find . -name node_modules -prune -exec rm -rf {} +
