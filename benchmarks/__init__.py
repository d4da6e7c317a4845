"""Benchmarks print ratios measured side by side in one run; absolute times are this machine's alone."""
