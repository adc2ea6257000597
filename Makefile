# `make help` lists the targets. The names docker-image, docker-compose-up, -down, -logs and build are the course's.
SHELL := /bin/bash
COMPOSE_FILE ?= docker-compose-dev.yaml
CLIENTS ?= 5
# The contents of .data: `make data` writes the same files again.
DATA_FLAGS := --agencies 5 --bets 6000 --seed 27 --winners 14
SHELLS := bash zsh fish elvish powershell

.DEFAULT_GOAL := build

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-22s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## Run a lottery: a central and five agencies as real processes
	cargo run --release --locked -- demo

.PHONY: build
build: ## Build target/release/quiniela
	cargo build --release --locked

# Tests mostly wait for processes and clocks, so more of them run at once than there are processors.
export RUST_TEST_THREADS ?= 8

.PHONY: test
test: ## Run all tests, except those that need a Docker engine
	cargo test --locked --no-fail-fast
	@scripts/postgres || true

# Two clusters of servers at once are enough for two processors.
.PHONY: test-postgres
test-postgres: ## Run the tests of a ledger that several centrals share, and insist on a PostgreSQL
	scripts/postgres
	QUINIELA_NEEDS_POSTGRES=1 RUST_TEST_THREADS=4 cargo test --locked --test postgres

# These modules take many seconds: they run lotteries under load, or wait for deadlines.
SLOW := crash:: cut:: draw:: linux:: load:: lottery::

.PHONY: quick
quick: ## Run the fast tests: an answer within seconds of the build
	cargo test --locked --lib
	cargo test --locked --test it -- $(SLOW:%=--skip %)

# At most so many kills, and seconds for them; each other part takes a tenth of that time. SEED repeats a run.
KILLS ?= 2000
SECONDS ?= 600

.PHONY: torture
torture: ## Kill, stop, damage and attack real lotteries at random (KILLS=2000, SECONDS=600, SEED)
	KILLS=$(KILLS) SECONDS=$(SECONDS) cargo test --locked --test torture -- --nocapture --test-threads=1

# FUZZ_TARGETS names some of fuzz/targets: all, if it is not said.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: ## Run each fuzzer of fuzz/ for a minute (FUZZ_SECONDS=60, FUZZ_TARGETS)
	FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz $(FUZZ_TARGETS)

.PHONY: test-docker
test-docker: ## Run the eight exercises in real containers, and check their logs; and the Debian package
	cargo test --locked --test docker -- --ignored --test-threads=1

# It takes hours: see docs/DURABILITY.md. The files that are left out are tests.
.PHONY: mutants
mutants: ## List the changes of ledger and domain that no unit test notices
	cargo mutants --file 'src/ledger/**/*.rs' --file 'src/domain/*.rs' \
	  --exclude '**/simulation.rs' --exclude '**/simulated_disk.rs' --output target -- --locked --lib

.PHONY: bench
bench: ## Measure how near this machine's limit quiniela is, and write docs/PERFORMANCE.md's table and picture
	WRITE=1 cargo bench --locked --bench limit
	WRITE=1 cargo bench --locked --bench growth

.PHONY: lint
lint: ## Check the format, and deny every warning
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	@if command -v shellcheck >/dev/null; then shellcheck -S warning $(SCRIPTS); else echo "NOT RUN: shellcheck is not here"; fi
	scripts/deny

SCRIPTS := .ci/run generar-compose.sh validar-echo-server.sh dist/deb/* \
  scripts/board-picture scripts/branches scripts/check-dist scripts/deb scripts/deny scripts/dist scripts/fuzz scripts/postgres

.PHONY: dist
dist: ## Make what is released, in target/dist: archive, SBOM, checksums
	scripts/dist

.PHONY: check-dist
check-dist: ## Show that two builds of this commit give the same bytes
	scripts/check-dist

.PHONY: deb
deb: ## Make a Debian package, in target/dist
	scripts/deb

.PHONY: docker-image
docker-image: ## Build the image: quiniela:latest, which is server:latest and client:latest too
	docker build -f docker/Dockerfile -t quiniela:latest .
	docker tag quiniela:latest server:latest
	docker tag quiniela:latest client:latest

.PHONY: docker-compose-up
docker-compose-up: docker-image ## Start the central and its agencies (CLIENTS=5, if there is no Compose file yet)
	test -f $(COMPOSE_FILE) || ./generar-compose.sh $(COMPOSE_FILE) $(CLIENTS)
	docker compose -f $(COMPOSE_FILE) up -d --build

.PHONY: docker-compose-down
docker-compose-down: ## Stop them, then remove them
	docker compose -f $(COMPOSE_FILE) stop -t 1
	docker compose -f $(COMPOSE_FILE) down

.PHONY: docker-compose-logs
docker-compose-logs: ## Follow their logs
	docker compose -f $(COMPOSE_FILE) logs -f

.PHONY: branches
branches: ## Make the branches ej1 to ej8 from main, one for each exercise
	scripts/branches

.PHONY: completions
completions: build ## Write completions/ again
	mkdir -p completions
	set -e; for shell in $(SHELLS); do target/release/quiniela completions $$shell >completions/.new; \
	  case $$shell in \
	    bash) name=quiniela.bash;; zsh) name=_quiniela;; fish) name=quiniela.fish;; \
	    elvish) name=quiniela.elv;; powershell) name=_quiniela.ps1;; \
	  esac; mv completions/.new completions/$$name; done

.PHONY: data
data: build ## Write .data again (DATA_FLAGS)
	target/release/quiniela gen-data $(DATA_FLAGS) --force .data
