"""Draw the pictures of pages that show no CSV file: ``python -m experiments.page_pictures``.

They are what commands draw: `inspect` of a run on MNIST, `compare` of a small sweep, `inspect
stride-groups`, and the augmentations. Half a minute on two cores. MNIST is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.figures import make_small
from experiments.provenance import ROOT

DOCS = ROOT / "docs"
RUN = "model=cnn data=mnist data.limit=6000 epochs=6 batch_size=64 learning_rate=0.02"
SWEEP = "-m learning_rate=0.3,0.1,0.03 seed=0,1"
GROUPS = "inspect stride-groups --input 4x4 --filter 2 --stride 1"
INSPECTED = {"maps1_conv1": "inspect_maps", "mistakes": "inspect_mistakes",
             "saliency": "inspect_saliency"}  # fmt: skip


def main() -> int:
    """Train, draw, and put the pictures into the pages' folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(f"{GROUPS} --out groups.png", folder)
        keep(folder / "groups.png", DOCS / "pictures" / "stride_groups.png")
        command(f"{RUN} hydra.run.dir=look", folder)
        command("inspect look", folder)
        for drawn, shown in INSPECTED.items():
            keep(folder / "look" / "inspect" / f"{drawn}.png", DOCS / "pictures" / f"{shown}.png")
        command(f"{SWEEP} sweep.dir=outputs/rates", folder)
        command("compare outputs/rates --group-by learning_rate --plot comparing.png", folder)
        keep(folder / "comparing.png", DOCS / "comparing.png")
    run("-m", "experiments.augmented", folder=ROOT)
    make_small(DOCS / "pictures" / "augmentation.png")
    return 0


def command(words: str, folder: Path) -> None:
    """Give a command of cnnexp, in a folder."""
    run("-m", "cnnexp", *words.split(), folder=folder)


def run(*words: str, folder: Path) -> None:
    """Run Python with the code of this checkout; a failure ends everything."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words], cwd=folder, env=env, check=True)


def keep(drawn: Path, page: Path) -> None:
    """Put a picture into its place, with few colours."""
    make_small(drawn)
    page.write_bytes(drawn.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
