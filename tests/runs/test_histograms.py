"""The spread of the weights, epoch by epoch."""

import numpy as np
import pytest

from cnnexp import load_run
from cnnexp.app.main import main
from cnnexp.errors import RunError
from cnnexp.runs.histograms import BINS, FILE, read_histograms, rows_of
from tests.runs.small import train, write_data


@pytest.fixture
def run(tmp_path):
    return train(tmp_path / "run", write_data(tmp_path / "data.npz"))


def test_every_parameter_at_every_epoch_from_before_the_first(run):
    found = read_histograms(run)
    network = load_run(run).network
    assert list(found) == list(network.weights())
    for name, histograms in found.items():
        assert [histogram.epoch for histogram in histograms] == [0, 1, 2]
        assert {sum(histogram.counts) for histogram in histograms} == {network.weights()[name].size}
        assert {len(histogram.counts) for histogram in histograms} == {BINS}


def test_the_last_one_counts_the_weights_of_the_end(run):
    name, array = next(iter(load_run(run).weights.items()))
    last = read_histograms(run)[name][-1]
    assert (last.low, last.high) == (array.min(), array.max())
    edges = np.linspace(last.low, last.high, BINS + 1)
    inside = np.searchsorted(np.sort(array.ravel()), edges[BINS // 2])
    assert sum(last.counts[: BINS // 2]) == pytest.approx(inside, abs=1)


def test_one_value_alone_and_values_that_are_not_finite():
    ((_, _, low, high, counts),) = rows_of(3, {"b": np.full(7, 2.0)})
    assert low < 2 < high
    assert sum(map(int, counts.split())) == 7
    ((_, _, low, high, counts),) = rows_of(3, {"b": np.array([1.0, np.nan, np.inf, 3.0])})
    assert (low, high, sum(map(int, counts.split()))) == (1, 3, 2)


@pytest.mark.parametrize(
    "values",
    [
        [1, np.nextafter(np.float32(1), np.float32(2))],
        [1e8],
        [-3.4e38, 3.4e38],
        [-0.0],
        [np.nan],
        [1e-45, 3e-45],
    ],
    ids=str,
)
def test_any_numbers_have_a_histogram(values):
    """NumPy refuses intervals that would be narrower than the numbers are apart."""
    array = np.array(values, dtype=np.float32)
    ((_, _, low, high, counts),) = rows_of(1, {"conv1.b": array})
    assert low < high
    finite = array[np.isfinite(array)]
    assert sum(map(int, counts.split())) == len(finite)
    assert all(low <= value <= high for value in finite)


def test_more_epochs_add_rows(tmp_path):
    constant = ("schedule=constant", "optimizer.momentum=0")
    run = train(tmp_path / "run", write_data(tmp_path / "data.npz"), *constant)
    before = (run / FILE).read_text()
    assert main(["resume", str(run), "epochs=3"]) == 0
    assert (run / FILE).read_text().startswith(before)
    assert {len(found) for found in read_histograms(run).values()} == {4}


def test_a_run_without_them_and_a_damaged_file(run, tmp_path):
    assert read_histograms(tmp_path) == {}
    (run / FILE).write_text("epoch,parameter,low,high,counts\n0,b,0,1,1 2\n1,b,0,x,1 2\n")
    with pytest.raises(RunError, match=r"histograms\.csv, line 3: damaged: could not convert"):
        read_histograms(run, accept_changes=True)
    (run / FILE).write_text("epoch,parameter,low,high,counts\n0,b\n")
    with pytest.raises(RunError, match=r"line 2: damaged"):
        read_histograms(run, accept_changes=True)
