# Parley. `make run` and `make test` are all a newcomer needs; `make` lists the rest.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
  && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The share of it that `make run` needs is there.
RUNNABLE := $(VENV)/.runnable
SAM_VENV := .venv-sam
SAM := $(SAM_VENV)/bin/sam
NODE_MODULES := client/js/node_modules/.ready
N8N_CHAT := standins/tests/n8n-chat/node_modules/.ready
# What requirements.lock locks; the client needs no more.
DISTRIBUTIONS := layers/parley samwire standins
PROJECTS := client/python $(DISTRIBUTIONS)
# What moto's server has for services that Parley's template does not use: `make run` goes without.
UNUSED := antlr4-python3-runtime graphql-core joserfc jsonpath-ng jsonschema-path lazy-object-proxy \
  openapi-schema-validator openapi-spec-validator pathable pydantic-settings pyparsing python-dotenv

export SAM_CLI_TELEMETRY := 0
# Where it is set (in many images), every process would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE
export AWS_DEFAULT_REGION ?= us-east-1

NPM_IN := env PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix
NPM := $(NPM_IN) client/js
# `make test` says how long each part has taken.
TIMED := @sh tests/timed.sh
# More of them than cores: tests wait for a third of their time.
WORKERS ?= 4
POLITELY := @nice -n 10 sh tests/timed.sh

# Where make can (4.0), what one of them says stays together.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=)
TOGETHER := --no-print-directory --jobs 6 $(SYNC:%=%target)

.DEFAULT_GOAL := help
.PHONY: help run token tools pictures test checked collected tested pytest browser models lint style types javascript format unit build template validate deploy remove chaos matrix bench lock generate clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## hold a spoken conversation on this machine, then serve the page [PORT=, DEMO=no, VOICE=, MIND=, EARS=, STANDINS=]
	@case "$(DEMO)" in ""|yes|no) ;; *) echo "DEMO: expected yes or no; got $(DEMO)." >&2; exit 2;; esac
	@PYTHON="$(PYTHON)" sh tests/python.sh
	@$(PYTHON) -m dev.choice "VOICE=$(VOICE)" "MIND=$(MIND)" "EARS=$(EARS)" "STANDINS=$(STANDINS)"
	@$(PYTHON) -m dev.port $(if $(PORT),"$(PORT)")
	@$(MAKE) --no-print-directory --silent $(RUNNABLE)
	@PYTHON="$(PYTHON)" $(BIN)/python -m dev $(if $(PORT),--port "$(PORT)") $(if $(DEMO),--demo "$(DEMO)") \
	  $(if $(VOICE),--voice "$(VOICE)") $(if $(MIND),--mind "$(MIND)") $(if $(EARS),--ears "$(EARS)") \
	  $(if $(STANDINS),--standins "$(STANDINS)")

test: ## run every check and test
	@PYTHON="$(PYTHON)" sh tests/python.sh
	@sh tests/python313.sh >/dev/null
	@export TIMES=$$(mktemp); $(MAKE) $(TOGETHER) checked; \
	  status=$$?; sh tests/timed.sh; rm -f "$$TIMES"; exit $$status

# Each begins as soon as what it needs is there. The tests wait a third of their time: the others
# run then, and give way to them, since they measure time.
checked: javascript build collected browser tested types style template

tested: $(READY) $(N8N_CHAT) browser build collected models
	@$(MAKE) --no-print-directory $(SYNC:%=%none) pytest

browser:
	$(TIMED) browser-packages sh tests/system-packages.sh

# Without them their tests are skipped, and say why.
models: $(READY)
	$(TIMED) models sh -c 'PYTHON="$(PYTHON)" $(BIN)/python -m dev.models || true'

# pytest rewrites what tests assert, once: otherwise each of its processes would do all of it.
collected: $(READY)
	$(TIMED) collection sh -c 'found=$$($(BIN)/pytest --collect-only -qq 2>&1) || { echo "$$found" >&2; exit 1; }'

pytest: $(READY) $(N8N_CHAT)
	$(TIMED) pytest $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25

token: $(READY) ## print a token that AUTH_SECRET signs [SUBJECT=, TENANT=, TTL=, SETTINGS=]
	@$(BIN)/python -m parley.auth.token_issuer $(if $(SUBJECT),--subject "$(SUBJECT)") \
	  $(if $(TENANT),--tenant "$(TENANT)") $(if $(TTL),--ttl "$(TTL)") \
	  $(if $(SETTINGS),--settings '$(SETTINGS)')

tools: $(READY) ## check the files that declare tools and agents [TOOLS=]
	@$(BIN)/python -m parley.tools.check $(or $(TOOLS),tools/tools.toml)
	@$(BIN)/python -m parley.agents.check tools

pictures: $(READY) ## every state of the page, into artifacts/pictures [ARGS=]
	@$(BIN)/python -m tests.browser.pictures $(ARGS)

lint: style types ## ruff, bandit and mypy --strict

# Where nothing is kept for another time, to write down what it knows is a seventh of its work.
types: $(READY)
	$(POLITELY) types $(BIN)/mypy $(if $(CI),--cache-dir=/dev/null)

style: $(READY)
	$(POLITELY) style $(BIN)/ruff check --quiet .
	$(POLITELY) style $(BIN)/bandit --quiet --configfile pyproject.toml --recursive layers functions client/python/src samwire/src standins/src dev deploy
	$(POLITELY) style $(BIN)/ruff format --quiet --check .

javascript: $(READY) $(NODE_MODULES) ## the JavaScript: types and tests
	$(TIMED) javascript $(NPM) run --silent check
	$(TIMED) javascript $(NPM) test --silent

unit: $(READY) ## the quick tests only
	$(BIN)/pytest client/python/tests tests/unit

format: $(READY) ## put the Python code in shape
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

validate: template build ## sam validate --lint, and a build of everything that is deployed

template: $(SAM)
	$(POLITELY) template $(SAM) validate --lint
	$(POLITELY) template $(SAM_VENV)/bin/cfn-lint docs/page-on-cloudfront.yaml

build: $(SAM) ## sam build
	@folder=$$(sh tests/python313.sh) && PATH="$$folder:$$PATH" sh tests/timed.sh build $(SAM) build --cached

# Only what the user has set: the region of this file would hide the one of a profile.
DEPLOY = $(if $(filter file,$(origin AWS_DEFAULT_REGION)),env -u AWS_DEFAULT_REGION) $(BIN)/python -m deploy

deploy: $(READY) $(SAM) ## deploy to AWS, or update what is there [PARAMETERS=, ARGS=]
	@$(MAKE) --no-print-directory build >/dev/null
	@$(DEPLOY) deploy $(ARGS)

remove: $(READY) $(SAM) ## remove from AWS what was deployed [ARGS=]
	@$(DEPLOY) remove $(ARGS)

chaos: $(READY) ## 500 turns while everything goes wrong
	PYTHONPATH=samwire/tests $(BIN)/python -m tests.chaos
	PYTHONPATH=samwire/tests $(BIN)/python -m tests.chaos --mistakes

matrix: $(READY) ## every combination of providers through the whole stack
	MATRIX=whole $(BIN)/pytest tests/e2e/test_provider_matrix.py

bench: $(READY) ## measure the time to first audio
	$(BIN)/python -m benchmarks.first_audio

generate: $(READY) $(NODE_MODULES) ## what follows from the types: schemas, messages, tables, references
	$(BIN)/python docs/generate.py
	cd client/js && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent build:reference
	$(BIN)/python docs/rooms.py
	$(BIN)/python -m docs.provider_table

lock: ## resolve the dependencies again
	uv pip compile $(DISTRIBUTIONS:%=%/pyproject.toml) --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --upgrade --quiet --output-file requirements.lock
	uv pip compile --group models --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --constraint requirements.lock --quiet --output-file dev/models-requirements.txt
	uv pip compile $(PROJECTS:%=%/pyproject.toml) --group run --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements.lock --quiet \
	  $(UNUSED:%=--no-emit-package %) --output-file dev/requirements.lock
	uv pip compile layers/parley/pyproject.toml --python-version 3.13 --python-platform aarch64-manylinux2014 \
	  --generate-hashes --no-header --no-annotate --constraint requirements.lock --quiet \
	  --output-file layers/parley/requirements.txt
	for group in sam uv; do \
	  uv pip compile --group $$group --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --upgrade --quiet --output-file tests/$$group-requirements.txt || exit; \
	done

clean: ## remove everything that was made
	rm -rf .venv-uv $(VENV) $(SAM_VENV) .aws-sam .local artifacts client/js/node_modules standins/tests/n8n-chat/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock tests/environment.sh $(PROJECTS:%=%/pyproject.toml)
	@PYTHON="$(PYTHON)" sh tests/timed.sh environment sh tests/environment.sh $(VENV) requirements.lock $(PROJECTS)
	@$(BIN)/python tests/node_commands.py $(BIN)
	@touch $(RUNNABLE) $@

# Into the same environment: `make test` adds what is missing, and `make run` after it nothing.
$(RUNNABLE): dev/requirements.lock tests/environment.sh $(PROJECTS:%=%/pyproject.toml)
	@PYTHON="$(PYTHON)" sh tests/environment.sh $(VENV) dev/requirements.lock $(PROJECTS)
	@touch $@

$(NODE_MODULES): client/js/package-lock.json | $(READY)
	$(TIMED) javascript $(NPM) ci --silent --no-audit --no-fund
	@touch $@

# n8n's own chat client, which the stand-in for n8n must satisfy.
$(N8N_CHAT): standins/tests/n8n-chat/package-lock.json | $(READY)
	$(TIMED) n8n-chat $(NPM_IN) standins/tests/n8n-chat ci --ignore-scripts --silent --no-audit --no-fund
	@touch $@

$(SAM): tests/sam-requirements.txt tests/environment.sh | $(READY)
	@PYTHON="$(PYTHON)" sh tests/timed.sh environment sh tests/environment.sh $(SAM_VENV) tests/sam-requirements.txt
	@touch $@
