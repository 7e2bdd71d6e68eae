"""How often are bounds and p-values wrong? Repetitions on fresh data from pairs whose distance is known.

`python -m benchmarks.calibration --help`; docs/benchmarks/calibration.md explains the tables.
"""
