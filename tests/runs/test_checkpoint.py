import pickle

import numpy as np
import pytest

from cnnexp.errors import OptionError, RunError, UnsafePickle
from cnnexp.runs import checkpoint
from cnnexp.runs.policy import CheckpointPolicy


def test_a_checkpoint_comes_back(tmp_path):
    training = {"epoch": 1, "batch": 2, "weights": {"W": np.ones(3, np.float32)}}
    pickled = checkpoint.dumps(training, {"seconds": 0.5}, {"test_error": 0.25})
    checkpoint.save(tmp_path, pickled)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found["totals"] == {"seconds": 0.5}
    assert found["results"] == {"test_error": 0.25}
    assert found["training"]["weights"]["W"].tobytes() == np.ones(3, np.float32).tobytes()


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("content", [[], {}, {"training": {}}, 3])
def test_something_else_is_not_a_checkpoint(tmp_path, content):
    (tmp_path / checkpoint.FILE).write_bytes(pickle.dumps(content))
    with pytest.raises(RunError, match="not a checkpoint of a run"):
        checkpoint.load(tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / checkpoint.FILE).write_bytes(b"half")
    with pytest.raises(UnsafePickle, match=r"checkpoint\.pkl: refused, because it is no pickle"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("every", "due"), [("epoch", []), (1, [1, 2, 3, 4, 5]), (2, [2, 4]), (9, [])]
)
def test_when_checkpoints_are_due(every, due):
    policy = CheckpointPolicy(every)
    assert [batch for batch in range(1, 6) if policy.due(batch)] == due


@pytest.mark.parametrize("every", [0, -1, "batch", None])
def test_when_checkpoints_cannot_be_due(every):
    with pytest.raises(OptionError, match="every must be 'epoch' or a number of batches"):
        CheckpointPolicy(every)
