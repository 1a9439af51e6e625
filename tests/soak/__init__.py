"""An hour of a running feed with faults from a seeded plan, and the proof that nothing was lost silently.

`plan` what happens, `scene` one engine's life, `faults` how each fault is done, `crew` the workers, `ledger` what
they saw, `accounts` the proof, `slots` the counters as docs/layout.md has them, `leaks` memory and descriptors,
`report` what is told. Run with `make soak`.
"""
