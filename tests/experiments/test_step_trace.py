"""What one training step passes through; a change that adds to it has to say so here."""

from __future__ import annotations

import pytest

from experiments.step_trace import trace

MOST = {"naive": (18, 29), "im2col": (17, 28), "sg": (20, 38), "fast": (24, 34)}


@pytest.mark.parametrize("impl", MOST)
def test_a_step_passes_through_so_many_files_and_concepts_at_most(impl: str) -> None:
    found = trace(impl)
    files, concepts = MOST[impl]
    assert len(found.files) <= files, sorted(found.files)
    assert len(found.concepts) <= concepts, sorted(found.concepts)
    assert "train/trainer.py" in found.files and "cnnexp.nn.plan.Plan" in found.concepts
