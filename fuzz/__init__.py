"""Fuzzing: what every boundary of the core promises, tried with inputs nobody thought of.

What lives here: one target for each pure boundary (`fuzz.targets`), the seeds they start from
(`fuzz.seeds`), the inputs that once failed (`fuzz/corpus`), and what runs them (`fuzz.run`). The
core does not know that it is fuzzed; the tests replay all of it without a fuzzer.
"""
