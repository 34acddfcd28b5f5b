import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import cnnexp
from cnnexp.errors import RunError
from cnnexp.runs import pickles
from tests.runs.small import change_record, train, write_data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("reading")
    return train(root / "run", write_data(root / "data.npz"), "data.validation=6")


def test_logs_are_read_to_the_last_bit(run):
    found = cnnexp.load_run(run)
    rows = (run / "batches.csv").read_text().splitlines()
    assert list(found.batches.columns) == rows[0].split(",")
    assert found.batches.shape == (12, 7)
    for row, text in zip(found.batches.itertuples(index=False), rows[1:], strict=True):
        assert ",".join(map(repr, row)) == text
    assert found.epochs["test_loss"].iloc[-1] == found.results["test_loss"]
    assert [str(kind) for kind in found.batches.dtypes[:3]] == ["int64"] * 3


@pytest.mark.parametrize(
    ("text", "rows"),
    [("", 0), ("epoch,ba", 0), ("epoch,x\n", 0), ("epoch,x\n1,2.5\n2,3.", 1), ("e,x\n1,\n", 1)],
)
def test_a_row_that_is_being_written_is_not_read(run, tmp_path, text, rows):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    (tmp_path / "epochs.csv").write_text(text)
    found = cnnexp.load_run(tmp_path, accept_changes=True).epochs
    assert len(found) == rows
    if "1,\n" in text:
        assert math.isnan(found["x"][0])


def test_the_network_gives_the_recorded_figures(run):
    found = cnnexp.load_run(run)
    for part, name in ((found.dataset.test, "test"), (found.dataset.validation, "validation")):
        _, loss, error = found.network.evaluate(part.X, part.Y)
        assert (loss, error) == (found.results[f"{name}_loss"], found.results[f"{name}_error"])


def test_other_data_are_not_taken_for_those_of_the_run(run, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "run.json").write_bytes((run / "run.json").read_bytes())
    config = cnnexp.load_run(run).config
    other = write_data(tmp_path / "other.npz", seed=5)
    change_record(copy, config=config | {"data": config["data"] | {"file": str(other)}})
    with pytest.raises(RunError, match="the data set is not the one this run used"):
        _ = cnnexp.load_run(copy).dataset


def test_weights_of_a_run_without_any_are_refused(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(RunError, match="no weights yet"):
        _ = cnnexp.load_run(tmp_path).weights


def test_the_checksum_of_weights_goes_by_their_contents(run, tmp_path):
    found = cnnexp.load_run(run)
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "run.json").write_bytes((run / "run.json").read_bytes())
    pickles.save(copy / "weights.pkl", dict(reversed(found.weights.items())))
    changes = cnnexp.load_run(copy, accept_changes=True)
    assert changes.weights_checksum == found.weights_checksum
    changed = {name: array.copy() for name, array in found.weights.items()}
    changed["dense1.b"][0] += 1e-6
    pickles.save(copy / "weights.pkl", changed)
    changes = cnnexp.load_run(copy, accept_changes=True)
    assert changes.weights_checksum != found.weights_checksum


PLAIN = """
import pickle, sys
sys.path[:] = [p for p in sys.path if p not in sys.argv[2:]]
weights = pickle.load(open(sys.argv[1], 'rb'))
print(sum(array.size for array in weights.values()), sorted(weights))
assert type(weights) is dict
assert not any(name.startswith('cnnexp') for name in sys.modules)
try:
    import cnnexp
except ImportError:
    print('without it')
"""


def test_weights_open_where_this_project_is_not_installed(run, tmp_path):
    root = str(Path(cnnexp.__file__).parent.parent)
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN, str(run / "weights.pkl"), "", root],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    names = "['dense1.W', 'dense1.b', 'dense2.W', 'dense2.b']"
    assert done.stdout.splitlines()[0] == f"103 {names}"
    with open(run / "weights.pkl", "rb") as file:
        assert set(pickle.load(file)) == set(cnnexp.load_run(run).weights)
