.PHONY: help run check test bench soak pins

run: ## serve on loopback, with a database of its own
	@./setup
	@.venv/bin/ochub up

help: ## say what each of these is for
	@sed -n 's/^\([a-z]*\): ## /\1\t/p' Makefile

check: ## what one runs all day: lint, types, import contracts, and the tests that start no process of their own
	@./setup dev
	@.ci/prove -m 'not process'

test: ## everything a change must pass; build/tests.xml keeps how long each test took
	@./setup dev
	@.ci/prove

COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make pins'
pins: ## pin the newest packages that pyproject.toml allows
	@./setup
	$(COMPILE) --upgrade requirements-uv.in -o requirements-uv.txt
	$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	$(COMPILE) --upgrade pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

bench: ## measure reads, the import, uploads and the change log beside their baselines; `make bench ARGS=--help`
	@./setup
	@.venv/bin/python -m tests.benchmarks $(ARGS)

soak: ## every long proof at full length: generated input, and the hub under load for minutes; `make soak ARGS=--help`
	@./setup dev
	@.venv/bin/python -m tests.soak $(ARGS)
