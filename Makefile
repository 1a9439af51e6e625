# What there is to run. CI runs `test`, with the fuzzer for some seconds a target; see README.md.
.PHONY: test lint fuzz soak

test:
	bash scripts/test

lint:
	bash scripts/lint

# Coverage-guided fuzzing of what parses bytes from outside (shim/fuzz/README.md): SECONDS for each target, all
# of them or TARGETS="segment ftd". Ends non-zero on a finding and tells where the input lies.
SECONDS = 300
TARGETS =
fuzz:
	sh shim/fuzz/run.sh $(SECONDS) $(TARGETS)

# A running feed with faults: make soak MINUTES=5 SEED=1 SOAK_ARGS="--json soak.json"
MINUTES ?= 60
SEED ?=
SOAK_ARGS ?=
soak:
	bash scripts/soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)
