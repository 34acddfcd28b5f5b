"""Tests, one package for each of cnnexp's, and what writes the generated pages."""

import os

# `impl=auto`, which settings have by default, is the same with Numba and without: pages print its
# name, and tests compare figures. Tests of `auto` itself take this out.
os.environ["CNNEXP_IMPL"] = "fast"
