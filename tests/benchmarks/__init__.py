"""What the hub's reads cost, beside two baselines, in one run: `make bench`, or `python -m tests.benchmarks --help`.

Not a test: the figures depend on the machine, so nothing here is collected by pytest. The ratios are what counts.
"""
