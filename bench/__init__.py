"""Benchmarks: ours beside the peers', in one run, so that others can repeat and believe them."""
