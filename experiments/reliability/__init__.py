"""How far the engine and its files can be trusted: ``python -m experiments.reliability PART``.

Every part tries something many times and writes what it found to
``experiments/results/reliability/PART.csv``. ``python -m experiments.reliability page`` makes
``docs/reliability.md`` from these files.
"""

NAMES: tuple[str, ...] = (  # the parts, in the order of the page
    "defects",
    "numbers",
    "growth",
    "extremes",
    "fuzz",
    "bounds",
    "faults",
    "sweeps",
    "coverage",
    "mutants",
    "versions",
    "audit",
)
