"""Studies, one YAML each, and benchmarks."""

import os

# Runs that a benchmark starts without naming an implementation are of `fast`, as those were whose
# figures are kept, also where Numba is installed.
os.environ.setdefault("CNNEXP_IMPL", "fast")
