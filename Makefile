.PHONY: soak

MINUTES ?= 60
SEED ?=
SOAK_ARGS ?=

# An hour of a running feed with faults: make soak MINUTES=5 SEED=1 SOAK_ARGS="--json soak.json"
soak:
	bash scripts/soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)
