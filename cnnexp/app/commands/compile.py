"""``cnnexp compile``: compile the kernels of ``impl=compiled`` ahead of time."""

from __future__ import annotations

from cnnexp.app.arguments import parser_of
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.engine.compiled import cache
from cnnexp.engine.compiled.preparing import every_kernel, make_ready
from cnnexp.engine.user_cache import VARIABLE
from cnnexp.errors import OptionError

EPILOG = """\
A run with impl=compiled compiles what it needs by itself, once for each processor and version;
after this command no run has to. The files lie in the user's cache folder, or in the folder that
the environment variable CNNEXP_CACHE_DIR names. They may be deleted at any time.

examples
  python -m cnnexp compile
  python -m cnnexp compile --dtype float64
"""


def main(words: list[str]) -> int:
    """Compile what is not there, and say where it lies."""
    parser = parser_of("compile", EPILOG)
    types = ("float32", "float64")
    parser.add_argument("--dtype", choices=types, default="float32", help="numbers: float32")
    dtype = parser.parse_args(words).dtype
    if lacks := IMPLEMENTATIONS["compiled"].lacks():
        raise OptionError(lacks)
    kernels = every_kernel()
    compiled = make_ready(kernels, dtype)
    there = len(kernels) - compiled
    place = cache.folder()
    if not all(kernel.is_kept(dtype) for kernel in kernels):
        raise OptionError(
            f"{place}: files cannot be written there. Name another folder with {VARIABLE}."
        )
    print(f"{len(kernels)} kernels for {dtype}, {there} of them there before, in {place}")
    return 0
