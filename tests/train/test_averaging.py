"""Moving averages of weights and accumulated gradients, against PyTorch and by hand."""

import numpy as np
import pytest

from cnnexp import BatchNorm, Dense, Flatten, Network
from cnnexp.data.dataset import epoch_order
from cnnexp.errors import OptionError
from cnnexp.train import EpochDone
from cnnexp.train.averaging import Average, GradientMean
from tests.train.trainings import dataset, network, trainer

SAMPLES, BATCH = 22, 4  # 6 mini-batches per epoch, the last one of 2 samples


def normalised(**options):
    layers = [Flatten(), Dense(5), BatchNorm(), Dense(5, activation="relu")]
    return Network([*layers, Dense(3, activation="softmax")], dtype="float64", **options)


class Peer:
    """The same network in PyTorch, trained by loops of its own over the same samples."""

    def __init__(self, training):
        self.torch = torch = pytest.importorskip("torch")
        torch.set_num_threads(1)  # as many as there are cores only get in each other's way here
        net = training.network
        nn, self.training = torch.nn, training
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 5), nn.ReLU(),
            nn.Linear(5, 3),
        ).double()  # fmt: skip
        places = {1: "dense1", 3: "dense2", 5: "dense3"}
        with torch.no_grad():
            for index, path in places.items():
                weights = net.weights()
                self.model[index].weight.copy_(torch.tensor(weights[f"{path}.W"].T))
                self.model[index].bias.copy_(torch.tensor(weights[f"{path}.b"]))

    def train(self, optimizer, accumulate, after_step):
        """Sum the loss of a group of mini-batches, and divide it by all samples of the group."""
        torch, training = self.torch, self.training
        X = torch.tensor(training.dataset.train.X.astype("float64"))
        Y = torch.tensor(training.dataset.train.Y)
        for epoch in range(1, training.epochs + 1):
            order = epoch_order(len(Y), training.seed, epoch)
            batches = [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
            for k in range(0, len(batches), accumulate):
                group = batches[k : k + accumulate]
                optimizer.zero_grad()
                for rows in group:
                    loss = torch.nn.functional.cross_entropy(
                        self.model(X[rows]), Y[rows], reduction="sum"
                    )
                    (loss / sum(map(len, group))).backward()
                optimizer.step()
                after_step()

    def weights(self, model):
        found = {}
        for index, path in ((1, "dense1"), (3, "dense2"), (5, "dense3")):
            found[f"{path}.W"] = model[index].weight.detach().numpy().T
            found[f"{path}.b"] = model[index].bias.detach().numpy()
        found["batch_norm1.scale"] = model[2].weight.detach().numpy()
        found["batch_norm1.shift"] = model[2].bias.detach().numpy()
        found["batch_norm1.mean"] = model[2].running_mean.numpy()
        found["batch_norm1.variance"] = model[2].running_var.numpy()
        return found


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(("accumulate", "epochs"), [(1, 9), (4, 25)])
def test_averages_and_accumulation_agree_with_pytorch_over_50_steps(accumulate, epochs):
    """With 4 the last step of an epoch has two mini-batches, of 4 samples and of 2."""
    data = dataset(train=SAMPLES)
    settings = {"batch_size": BATCH, "epochs": epochs, "learning_rate": 0.02}
    sgd = {"momentum": 0.9, "nesterov": True}
    training = trainer(
        data, net=normalised(), options=sgd, ema=0.9, accumulate=accumulate, **settings
    )
    peer = Peer(training)
    torch = peer.torch
    averaged = torch.optim.swa_utils.AveragedModel(
        peer.model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9),
        use_buffers=True,
    )
    optimizer = torch.optim.SGD(peer.model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    peer.train(optimizer, accumulate, lambda: averaged.update_parameters(peer.model))
    assert averaged.n_averaged >= 50
    last = [event for event in training.events() if isinstance(event, EpochDone)][-1]
    assert_same(training.network.weights(), peer.weights(peer.model))
    assert_same(training.kept_weights(), peer.weights(averaged.module))
    averaged.eval()
    test = training.dataset.test
    with torch.no_grad():
        Z = averaged(torch.tensor(test.X.astype("float64")))
        loss = torch.nn.functional.cross_entropy(Z, torch.tensor(test.Y)).item()
    assert last.test["loss"] == pytest.approx(loss, rel=1e-9)


def test_an_average_worked_by_hand():
    net = Network([Dense(1)], dtype="float64").build((1,))
    average = Average(0.9)
    for value in (1.0, 3.0, 2.0):
        net.parameters[...] = value
        average.update(net)
    # 1, then 0.9·1 + 0.1·3 = 1.2, then 0.9·1.2 + 0.1·2 = 1.28
    assert average.weights(net)["dense1.W"].item() == pytest.approx(1.28)
    assert net.parameters.tolist() == [2.0, 2.0]


def test_before_the_first_step_there_is_no_average():
    net = network().build((2, 3, 1))
    average, before = Average(0.9), net.parameters.copy()
    with average.applied(net):
        np.testing.assert_array_equal(net.parameters, before)
    assert average.weights(net) is None and not average.begun


def test_a_decay_of_zero_changes_nothing():
    plain, averaged = trainer(), trainer(ema=0.0)
    assert list(plain.events())[-1].test == list(averaged.events())[-1].test
    assert averaged.network.parameters.tobytes() == plain.network.parameters.tobytes()


def test_the_training_itself_does_not_see_the_averages():
    plain, averaged = trainer(), trainer(ema=0.8)
    figures = [[e for e in t.events() if isinstance(e, EpochDone)][-1] for t in (plain, averaged)]
    assert averaged.network.parameters.tobytes() == plain.network.parameters.tobytes()
    assert figures[0].train == figures[1].train
    assert figures[0].test != figures[1].test


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_that_is_no_fraction_is_refused(decay):
    with pytest.raises(OptionError, match="ema must be at least 0 and below 1"):
        trainer(ema=decay)


# Accumulation ---------------------------------------------------------------------------------


def test_a_mean_over_mini_batches_counts_samples_alike():
    mean = GradientMean()
    mean.add(np.array([1.0, 4.0]), 4)
    mean.add(np.array([4.0, 1.0]), 2)
    assert mean.take().tolist() == [2.0, 3.0]  # (4·1 + 2·4) / 6, (4·4 + 2·1) / 6
    mean.add(np.array([7.0, 7.0]), 3)
    assert mean.take().tolist() == [7.0, 7.0]


def test_accumulated_mini_batches_are_one_large_one():
    """10 samples as 4, 4 and 2 that make a step together, and as one mini-batch."""
    cut = trainer(net=network(dtype="float64"), batch_size=4, accumulate=3)
    whole = trainer(net=network(dtype="float64"), batch_size=10)
    for training in (cut, whole):
        assert training.steps_per_epoch == 1
        list(training.events())
    np.testing.assert_allclose(cut.network.parameters, whole.network.parameters, atol=1e-13)


def test_the_schedule_counts_steps():
    """3 mini-batches, of which two make a step: rates of steps 0, 0, 1, 2, 2, 3 of 4."""
    training = trainer(schedule="triangle", accumulate=2, epochs=2, learning_rate=1.0)
    rates = [e.learning_rate for e in training.events() if not isinstance(e, EpochDone)]
    assert rates == pytest.approx([0.0, 0.0, 1.0, 2 / 3, 2 / 3, 1 / 3])


def test_no_mini_batch_is_refused():
    with pytest.raises(OptionError, match="accumulate must be at least 1"):
        trainer(accumulate=0)
