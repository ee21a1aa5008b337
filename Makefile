PYTHON ?= python3
STAGE ?= dev
ARGS ?=
BUCKET ?=
STACK ?=
LOCAL ?=
PARAMETERS ?=
BIN := .venv/bin
# What running needs, and what everything needs.
RUNS := .venv/.runs
VENV := .venv/.installed
FUZZ := .venv/.fuzz
# boto3, Chalice and the AWS CLI 1 read AWS_DEFAULT_REGION; the AWS CLI 2 prefers AWS_REGION. Both
# get the same one. Without either, all of them use the region of the profile.
REGION ?= $(or $(AWS_REGION),$(AWS_DEFAULT_REGION))
ifneq ($(REGION),)
export AWS_REGION := $(REGION)
export AWS_DEFAULT_REGION := $(REGION)
endif
# Your AWS CLI, 1 or 2, or version 1 in an environment of its own: it would hide yours in .venv.
AWS ?= $(or $(shell command -v aws),.venv-aws/bin/aws)
# Tests of the gateway wait for its processes, so more of them run than there are processors.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)
# Without caches of compiled code, each worker and each process of the gateway compiles everything.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

.PHONY: accept deploy help run connect notify who rows close sweep env test coverage test-engines proof check lint imports format templates bench mutants fuzz storm soak table package lock

help: ## Show this help.
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run

run: $(RUNS) ## Run the application on this machine, behind the local gateway.
	@$(BIN)/python -m localgateway --stage $(STAGE) $(ARGS)

##@ Talk to the running gateway

CLIENT ?=
MESSAGE ?= Hello
DRY ?=
TALK := $(BIN)/python -m localgateway.client $(if $(filter command,$(origin PORT)),--port $(PORT))
NAMED := {"clientId": "$(CLIENT)"}
connect: $(RUNS) ## Open a connection, as a client: CLIENT=ada.
	@$(TALK) connect $(if $(CLIENT),--query 'clientId=$(CLIENT)')

notify : export TEXT = $(MESSAGE)
notify: $(RUNS) ## Publish a notification: MESSAGE="Disk full" CLIENT=ada.
	@$(TALK) notify "$$TEXT" $(if $(CLIENT),--attribute 'clientId=$(CLIENT)')

who: $(RUNS) ## Show who is connected: CLIENT=ada.
	@$(TALK) invoke connections '$(if $(CLIENT),$(NAMED),{})'

rows: $(RUNS) ## Show the rows of the table.
	@$(TALK) table

close: $(RUNS) ## Close the connections of a client: CLIENT=ada.
	@$(TALK) invoke close '$(NAMED)'

sweep: $(RUNS) ## Sweep the table now; DRY=1 only counts.
	@$(TALK) invoke sweep '$(if $(DRY),{"dryRun": true},{})'

env: $(RUNS) ## Print the exports for AWS clients: eval "$(make env)".
	@$(TALK) env

##@ Check

test: $(VENV) ## Run the tests, or some: ARGS="-k limit".
	$(PYTEST) -m "not proof" $(ARGS)

# Measuring takes a third more CPU.
coverage: $(VENV) ## Run the tests and measure the branches that they cover.
	$(PYTEST) -m "not proof" --cov --cov-report=term --cov-fail-under=90

proof: $(VENV) .venv-aws/bin/aws ## Run the long tests: real deployments, faults, storms.
	$(PYTEST) -m proof $(or $(ARGS),--ignore=tests/faults)
	$(if $(ARGS),,$(PYTEST) --dist worksteal -m proof tests/faults)
	$(if $(ARGS),,$(MAKE) test-engines)

# The suites of the store and of the history, and those of the whole over real sockets.
STORE := tests/chalicelib/test_reader.py tests/chalicelib/test_store.py \
	tests/chalicelib/test_store_faults.py tests/chalicelib/test_store_machine.py \
	tests/chalicelib/test_sweep_progress.py
LOG := tests/chalicelib/test_history.py tests/chalicelib/test_claims.py \
	tests/chalicelib/services/test_recovery.py tests/chalicelib/services/test_recording.py
WHOLE := tests/test_end_to_end.py tests/test_sweep_end_to_end.py \
	tests/test_notifications_end_to_end.py tests/storm
test-engines: $(VENV) ## Run the tests of the tables on other DynamoDB engines than moto.
	ENGINE=dynalite $(PYTEST) $(STORE)
	ENGINE=ministack $(PYTEST) $(STORE) $(LOG) $(WHOLE)

check: lint imports templates coverage ## Run lint, imports, templates and coverage, in this order.

lint: $(VENV) ## Check format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

imports: $(VENV) ## Check that packages import each other in one direction only.
	$(BIN)/lint-imports --no-logo

templates: $(VENV) ## Package each stage and check its CloudFormation template.
	$(MAKE) package STAGE=dev REGION=$(or $(REGION),us-east-1)
	$(MAKE) package STAGE=prod REGION=$(or $(REGION),us-east-1)
	$(BIN)/cfn-lint build/dev/sam.json build/prod/sam.json

audit: $(VENV) ## Ask PyPI and npm for known vulnerabilities of what is pinned.
	$(BIN)/uv tool run pip-audit --requirement requirements-run.txt
	cd clients/js && npm audit

bench: $(VENV) ## Run the benches that take a minute; bench/gateway takes longer.
	$(BIN)/python -m bench.cold_start --check
	$(BIN)/python -m bench.handlers --check

mutants: $(VENV) ## Change the code in small ways and count what the tests notice.
	$(BIN)/python -m bench.mutants $(ARGS) chalicelib/store.py chalicelib/reader.py chalicelib/domain chalicelib/handlers chalicelib/services

fuzz: $(FUZZ) ## Try hostile bytes and random sequences: MINUTES=30 SEED=0 ARGS=.
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),30) --seed $(or $(SEED),0) $(ARGS)

storm: $(VENV) ## Let clients live through faults: MINUTES=10 SEED=0.
	PYTHONPATH=clients/python $(BIN)/python -m tests.storm --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

SOAK = --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0) $(if $(CLIENTS),--clients $(CLIENTS)) \
	$(if $(filter undefined,$(origin FAULTS)),,--faults=$(FAULTS)) $(ARGS)
soak: $(VENV) ## Let clients of every kind live for long: MINUTES=60 SEED=0.
	PYTHONPATH=clients/python $(BIN)/python -m tests.soak $(SOAK)

##@ Change

format: $(VENV) ## Format the code and fix what the linter can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A zip for Lambda holds wheels only. The Python 3.11 runtime has the oldest C library (glibc 2.26),
# so every wheel has to fit manylinux2014 (glibc 2.17).
WHEELS := --quiet --only-binary :all:
lock: $(VENV) ## Renew the pins of what ships to Lambda, from requirements.in.
	$(BIN)/uv pip compile $(WHEELS) --upgrade --custom-compile-command "make lock" \
		--python-version 3.11 --python-platform aarch64-manylinux2014 \
		--output-file requirements.txt requirements.in
	@for version in 3.11 3.12 3.13; do for machine in aarch64 x86_64; do \
		$(BIN)/uv pip install $(WHEELS) --dry-run --target build/lock --python-version $$version \
			--python-platform $$machine-manylinux2014 --requirement requirements.txt || exit 1; \
	done; done

##@ Deploy (STAGE=dev or STAGE=prod, REGION=...)

.PHONY: doctor deploy-stack redrive erase audit

doctor: $(VENV) ## Check that the stage can be deployed to this account.
	@$(BIN)/python -m provision.doctor --stage $(STAGE) $(if $(BUCKET),--bucket $(BUCKET)) $(ARGS)

table: $(VENV) ## Create the stage's table, event bus and topic in AWS.
	$(strip $(BIN)/python -m provision --stage $(STAGE) $(ARGS))

deploy: table ## Create them, then deploy the stage with Chalice.
	$(BIN)/chalice deploy --stage $(STAGE)
	$(BIN)/python -m provision.release --stage $(STAGE)

package: $(VENV) ## Package the stage for CloudFormation into build/.
	$(strip $(BIN)/python -m provision.package --stage $(STAGE) $(ARGS))

deploy-stack: $(VENV) $(AWS) ## Package the stage and deploy its stack: BUCKET=...
	@test -n "$(BUCKET)" || { echo "BUCKET is empty; name a bucket of yours in the region of the \
	stack: make deploy-stack STAGE=$(STAGE) BUCKET=..." >&2; exit 2; }
	$(BIN)/python -m provision.package --stage $(STAGE)
	$(AWS) cloudformation package --template-file build/$(STAGE)/sam.json --s3-bucket $(BUCKET) \
		--use-json --output-template-file build/$(STAGE)/packaged.json
	$(AWS) cloudformation deploy --template-file build/$(STAGE)/packaged.json \
		--s3-bucket $(BUCKET) --stack-name incident-websocket-$(STAGE) \
		--parameter-overrides Stage=$(STAGE) $(PARAMETERS) \
		--capabilities CAPABILITY_IAM --no-fail-on-empty-changeset

accept: $(VENV) ## Check a stage from outside: STAGE=, STACK= or LOCAL=address.
	@$(BIN)/python -m accept $(if $(LOCAL),--local $(LOCAL),$(if $(STACK),--stack $(STACK),\
		--stage $(STAGE))) $(ARGS)

redrive: $(VENV) ## Send the notifications in the failure queue again.
	@$(BIN)/python -m provision.redrive --stage $(STAGE) $(ARGS)

erase: $(VENV) ## Erase what the stage stores about a client: CLIENT=ada.
	@$(BIN)/python -m provision.erase --stage $(STAGE) --client "$$CLIENT" $(ARGS)

.venv-aws/bin/aws: requirements-aws.txt
	$(PYTHON) -m venv .venv-aws
	.venv-aws/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(RUNS): requirements.txt requirements-run.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; install Python 3.11, 3.12 or \
	3.13, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
		"$(PYTHON) is Python %d.%d; this project needs 3.11, 3.12 or 3.13: make PYTHON=python3.11" \
		% sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-compile --disable-pip-version-check --requirement requirements-run.txt
	@touch $@

$(VENV): $(RUNS) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(FUZZ): $(VENV) requirements-fuzz.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-fuzz.txt
	@touch $@
