# `make` lists the targets. What they fetch and build by themselves lies in .local/ and target/.

PYTHON ?= python3
CARGO ?= cargo
# How long `make demo` runs before it ends by itself; empty: until Ctrl-C.
DEMO_SECONDS ?=
# Where `make kafka` and `make registry` listen, on loopback.
KAFKA_PORT ?= 9092
REGISTRY_PORT ?= 8081
# The folder with the training and test texts, for the model-* targets.
DATA ?=
# What the model-* targets pass on besides; each script has a --help.
TRAIN_ARGS ?=
EXPORT_ARGS ?=
EVALUATE_ARGS ?=
CARD_ARGS ?=
# The program that a model is evaluated through.
PROGRAM ?= target/release/groundswell

# ONNX Runtime tells its makers what machine it runs on, unless told not to.
export ORT_DISABLE_TELEMETRY := 1

FETCH := $(PYTHON) deploy/local/fetch.py
MODEL_PYTHON := .venv/bin/python
# Stands for the whole of the lock file being installed.
MODEL_READY := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo kafka registry release test test-unit test-all test-demo lint docs bench bench-recommend bench-peers fetch clean \
	model-train model-export model-evaluate model-card model-quick model-test model-data \
	purchase-train purchase-export purchase-evaluate segments

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z%-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ See it run
demo: fetch-onnxruntime ## Reviews and chats scored live, nothing else needed (DEMO_SECONDS=20 ends by itself)
	$(CARGO) run --release --locked -- demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

kafka: fetch-kafka ## A local Kafka in the foreground (KAFKA_PORT=9092)
	$(PYTHON) deploy/local/kafka.py run --port $(KAFKA_PORT)

registry: fetch-registry ## A local schema registry in the foreground (REGISTRY_PORT=8081)
	$(PYTHON) deploy/local/registry.py run --port $(REGISTRY_PORT)

release: ## The program, optimised, as target/release/groundswell
	$(CARGO) build --release --locked

##@ Check it
test: lint test-all test-demo model-test ## Everything, with a real Kafka and a real schema registry

test-unit: ## What needs neither Java nor a network
	$(CARGO) test --locked --lib --bins
	$(CARGO) test --locked --test tests -- --skip kafka:: --skip faults::

lint: ## Format and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

test-all: fetch
	$(CARGO) test --locked

# Not optimised, as the tests before it: a release build of everything would take longer than all of them.
test-demo: fetch-onnxruntime
	$(CARGO) run --locked -- demo --seconds 20

bench: fetch-onnxruntime fetch-kafka ## Throughput and latency against the model alone and a plain Kafka loop
	@test -n "$(DATA)" || { echo "say which texts: make bench DATA=FILE (JSON lines with a field text, .gz allowed)" >&2; exit 2; }
	$(CARGO) bench --locked --bench pipeline -- $(DATA)

bench-recommend: ## What recommendations find, against popularity, item-kNN and session-kNN
	@test -n "$(DATA)" || { echo "say which clicks: make bench-recommend DATA=FILE (JSON lines, .gz allowed)" >&2; exit 2; }
	$(CARGO) bench --locked --bench recommend -- $(DATA)

bench-peers: fetch-onnxruntime fetch-kafka ## Side by side with a Kafka Streams job and Python loops; needs a JDK; writes docs/comparison.md
	@test -n "$(DATA)" || { echo "say which texts: make bench-peers DATA=FILE (JSON lines with a field text, .gz allowed)" >&2; exit 2; }
	$(PYTHON) benches/peers/prepare.py
	$(CARGO) bench --locked --bench peers -- $(DATA)

docs: ## Write docs/configuration.md anew from the configuration's types
	mkdir -p docs
	$(CARGO) run --quiet --locked -- check --print-reference > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

##@ Bring what it needs
fetch: fetch-all ## Everything below, pinned by version and hash

fetch-%: ## One of onnxruntime, kafka, registry, java, promtool
	@$(FETCH) $*

##@ The model that ships
model-train: model-data $(MODEL_READY) ## Texts in DATA=folder to a run under models/runs/
	$(MODEL_PYTHON) models/train.py --data $(DATA) $(TRAIN_ARGS)

model-export: model-data $(MODEL_READY) ## The run to models/text/
	$(MODEL_PYTHON) models/export.py --data $(DATA) $(EXPORT_ARGS)

model-evaluate: model-data $(MODEL_READY) ## Figures of models/text/ on DATA=folder or file, through PROGRAM
	$(MODEL_PYTHON) models/evaluate.py $(DATA) --program $(PROGRAM) $(EVALUATE_ARGS)

model-card: model-data $(MODEL_READY) ## Measure models/text/ on DATA=folder and write its card anew
	mkdir -p models/figures
	$(MODEL_PYTHON) models/evaluate.py $(DATA) --program $(PROGRAM) --train $(DATA) --json models/figures/evaluation.json $(CARD_ARGS)
	$(MODEL_PYTHON) models/check_batches.py $(DATA) --json models/figures/batches.json
	$(MODEL_PYTHON) models/speed.py $(DATA) --json models/figures/speed.json
	$(MODEL_PYTHON) models/card.py

model-quick: $(MODEL_READY) ## Train, export and evaluate on 2,000 texts, made up or of DATA=folder
	$(MODEL_PYTHON) models/quick.py --program $(PROGRAM) $(if $(DATA),--data $(DATA))

# The tests before it made the program; where they did not, this does.
model-test: $(MODEL_READY) fetch-onnxruntime
	$(CARGO) build --locked
	$(MODEL_PYTHON) -m unittest discover -s models
	$(MODEL_PYTHON) -m unittest discover -s models/purchase
	$(MODEL_PYTHON) -m unittest discover -s models/segments
	$(MODEL_PYTHON) models/quick.py --program target/debug/groundswell

purchase-train: model-data $(MODEL_READY) ## Clicks in DATA=file to a run under models/purchase/runs/
	$(MODEL_PYTHON) models/purchase/train.py $(DATA) --binary $(PROGRAM) $(TRAIN_ARGS)

purchase-export: model-data $(MODEL_READY) ## The run to models/purchase/
	$(MODEL_PYTHON) models/purchase/export.py --file $(DATA) --binary $(PROGRAM) $(EXPORT_ARGS)

segments: $(MODEL_READY) ## Clicks in DATA=file to models/segments/, through PROGRAM
	$(MODEL_PYTHON) models/segments/fit.py $(DATA) --program $(PROGRAM) $(SEGMENT_ARGS)

purchase-evaluate: model-data $(MODEL_READY) ## Figures of models/purchase/ on DATA=file of clicks, through PROGRAM
	$(MODEL_PYTHON) models/purchase/evaluate.py $(DATA) --binary $(PROGRAM) $(EVALUATE_ARGS)

model-data:
	@test -n "$(DATA)" || { echo "say where the texts are: make model-… DATA=folder (models/README.md)" >&2; exit 2; }

$(MODEL_READY): models/requirements.lock
	$(PYTHON) -m venv .venv
	$(MODEL_PYTHON) -m pip install --quiet --require-hashes --no-deps -r $<
	touch $@

##@ Put it away
clean: ## Remove what was built and fetched
	$(CARGO) clean
	rm -rf .local .venv dist
