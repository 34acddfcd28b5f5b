"""The page that ``--help`` shows."""

from __future__ import annotations

import textwrap

from cnnexp.app.commands import SUMMARIES
from cnnexp.app.locations import CHOICES, config_files

WIDTH = 100

HEAD = """\
cnnexp - experiments with convolutional networks in NumPy

  python -m cnnexp [KEY=VALUE ...]                 train once
  python -m cnnexp -m KEY=VALUE,VALUE ...          train once for each combination of values
  python -m cnnexp COMMAND ...                     look at runs; COMMAND --help tells more
"""

KEYS = """\
keys that people change (python -m cnnexp --cfg job shows all of them)
  epochs=10  learning_rate=0.05  batch_size=64  seed=1  dtype=float64  data.limit=1000
  data.validation=0.1  data.dir=FOLDER  data.split=0.95  impl.threads=1  checkpoint.every=100
  model.layers.0.filters=16  optimizer.momentum=0  early_stopping.patience=5  best_weights=true
  ema=0.99  accumulate=4  diagnostics=true  profile=true  init_from=RUN  sweep.dir=FOLDER
  sweep.jobs=2  hydra.run.dir=FOLDER
"""

EXAMPLES = """\
examples: python -m cnnexp -m learning_rate=0.3,0.1,0.03   python -m cnnexp compare outputs
exit code: 0 all well, 1 a run or job failed, 2 a mistake in what was asked, 3 diverged, 130 stopped
also: --cfg job, --info, --config-dir FOLDER, --version, and Hydra's own page: --hydra-help
"""


def show_help() -> int:
    """Print the page."""
    commands = "\n".join(f"  {name:<12} {summary}" for name, summary in SUMMARIES.items())
    groups = "\n".join(_of_group(group) for group in CHOICES)
    print(
        "\n".join([HEAD, f"commands\n{commands}\n", f"groups and their options\n{groups}\n", KEYS])
    )
    print(EXAMPLES, end="")
    return 0


def _of_group(group: str) -> str:
    """Return a group with its options, on lines that fit a terminal."""
    names = ", ".join(config_files(group))
    return textwrap.fill(names, WIDTH, initial_indent=f"  {group:<12} ", subsequent_indent=" " * 15)
