"""What a network promises to those who use it."""

import dataclasses

import numpy as np
import pytest

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.engine import Operation
from cnnexp.errors import ShapeError
from tests.nn.networks import HERE, IMPLEMENTATIONS, batch, layers, network

X, Y = batch()


def test_parameters_are_made_from_the_first_batch():
    for use in (
        lambda net: net.train(X, Y, 0.1),
        lambda net: net.evaluate(X, Y),
        lambda net: net.predict(X),
        lambda net: net.build((8, 7, 2)),
    ):
        net = network()
        assert not net.built
        use(net)
        assert net.built
        assert net.input_shape == (8, 7, 2)
        assert net.layers[0].params["W"].shape == (3, 3, 2, 5)


def test_an_activation_is_a_layer_of_its_own():
    short = Network([Conv2D(3, 3, activation="relu"), Flatten(), Dense(4, activation="softmax")])
    long = Network([Conv2D(3, 3), ReLU(), Flatten(), Dense(4), Softmax()])
    assert [layer.name for layer in short.layers] == [layer.name for layer in long.layers]
    assert [layer.name for layer in short.layers] == [
        "conv1",
        "relu1",
        "flatten1",
        "dense1",
        "softmax1",
    ]
    np.testing.assert_array_equal(short.predict(X), long.predict(X))


@pytest.mark.parametrize(
    ("name", "layer"), [("relu", ReLU), ("sigmoid", Sigmoid), ("tanh", Tanh), ("softmax", Softmax)]
)
def test_every_activation_has_a_name(name, layer):
    assert isinstance(Network([Dense(3, activation=name)]).layers[1], layer)


def test_train_is_one_plain_gradient_step():
    net = network()
    A, loss, error = net.evaluate(X, Y)
    sums, gradient = net.gradients(X, Y)
    means = net.means(sums)
    expected = net.parameters - 0.3 * gradient
    found = net.train(X, Y, learning_rate=0.3)
    assert found == (means["loss"], means["error"])  # before the step
    assert found == pytest.approx((loss, error))
    np.testing.assert_array_equal(net.parameters, expected)
    assert not np.array_equal(net.predict(X), A)


def test_evaluate_gives_probabilities_and_means():
    A, loss, error = network().evaluate(X, Y)
    np.testing.assert_allclose(A.sum(axis=1), 1)
    assert loss == pytest.approx(-np.log(A[np.arange(len(Y)), Y]).mean())
    assert error == np.mean(A.argmax(axis=1) != Y)


@pytest.mark.parametrize("n_m", [1, 2, 7, 16, 33])
def test_evaluate_takes_any_number_of_samples(n_m):
    net = network(micro_batch=4)
    X, Y = batch(n_m)
    A, _, error = net.evaluate(X, Y)
    alone = np.concatenate([net.predict(X[k : k + 1]) for k in range(n_m)])
    np.testing.assert_allclose(A, alone, atol=1e-12)
    assert error == np.mean(alone.argmax(axis=1) != Y)


@pytest.mark.parametrize(("n_m", "sizes"), [(3, [3]), (8, [4, 4]), (9, [4, 5]), (12, [10, 2])])
def test_few_samples_are_cut_as_in_training(n_m, sizes, monkeypatch):
    net = network(micro_batch=4, inference_micro_batch=10).build((8, 8, 1))
    seen = []
    dense = net._plan.steps[0]
    forward = dense.forward

    def noted(A, context):
        seen.append(len(A))
        return forward(A, context)

    monkeypatch.setattr(dense, "forward", noted)
    assert net.predict(np.ones((n_m, 8, 8))).shape == (n_m, 4)
    assert seen == sizes


def test_predictions_are_the_same_every_time():
    net = network()
    np.testing.assert_array_equal(net.predict(X), net.predict(X))
    A, _, _ = net.evaluate(X, Y)
    np.testing.assert_array_equal(net.predict(X), A)


def test_evaluating_changes_nothing():
    net = network()
    net.train(X, Y, 0.1)
    before = net.parameters.copy()
    net.evaluate(X, Y)
    net.predict(X)
    np.testing.assert_array_equal(net.parameters, before)


def test_results_outlive_the_next_pass():
    """What is returned does not lie in memory that is used again."""
    net = network()
    A = net.predict(X)
    kept = A.copy()
    net.predict(X[::-1])
    np.testing.assert_array_equal(A, kept)


def test_samples_and_labels_are_left_alone():
    net, samples, labels = network(), X.copy(), np.eye(4)[Y]
    for array in (samples, labels):
        array.flags.writeable = False
    net.train(samples, labels, 0.1)
    net.evaluate(samples, labels)
    np.testing.assert_array_equal(samples, X)


def test_rows_of_a_batch_must_be_there():
    net = network()
    for rows in ([-1], [len(X)]):
        with pytest.raises(IndexError, match="rows must lie in 0"):
            net.batch(X, Y).at(np.array(rows))


def test_labels_and_one_hot_rows_are_the_same():
    results = []
    for labels in (Y, np.eye(4)[Y], np.eye(4, dtype=bool)[Y], Y.astype(np.uint8), Y.astype(float)):
        net = network()
        results.append((*net.train(X, labels, 0.1), *net.evaluate(X, labels)[1:]))
    assert all(result == results[0] for result in results)


def test_one_channel_may_be_left_out():
    images = np.random.default_rng(0).random((6, 8, 8))
    flat, deep = (Network(layers()).predict(X) for X in (images, images[..., None]))
    np.testing.assert_array_equal(flat, deep)


def test_rows_of_numbers_are_samples_too():
    net = Network([Dense(5, activation="relu"), Dense(4, activation="softmax")])
    assert net.predict(np.ones((3, 6))).shape == (3, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_dtype_is_kept(dtype, impl):
    net = network(dtype=dtype, impl=impl)
    for samples in (X.astype("float32"), X.astype("float64"), (X * 10).astype(int)):
        _, gradient = net.gradients(samples, Y)
        A, loss, _ = net.evaluate(samples, Y)
        assert {A.dtype, gradient.dtype, net.parameters.dtype} == {np.dtype(dtype)}
        assert isinstance(loss, float)
    assert all(array.dtype == dtype for array in net.weights().values())


def test_initial_weights_are_the_same_under_every_implementation():
    found = [network(impl=impl, seed=3).build((8, 7, 2)).parameters for impl in HERE]
    for parameters in found:
        np.testing.assert_array_equal(parameters, found[0])


def test_initial_weights_are_drawn_in_float64():
    wide, narrow = (network(dtype=d).build((8, 7, 2)).parameters for d in ("float64", "float32"))
    np.testing.assert_array_equal(wide.astype("float32"), narrow)


def test_initial_weights_come_from_the_seed_and_the_place():
    one, same, other = (network(seed=seed).build((8, 7, 2)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.parameters, same.parameters)
    assert not np.array_equal(one.parameters, other.parameters)
    equal = Network([Dense(6), Dense(6), Dense(6, activation="softmax")]).build((6,))
    assert not np.array_equal(equal.layers[0].params["W"], equal.layers[1].params["W"])


def test_initial_weights_are_those_that_recorded_runs_began_with():
    """Seed, purpose 1, and path; he_normal has a variance of 2 / fan_in = 2 / 4."""
    net = Network([Conv2D(2, 2), Flatten(), Dense(3), Softmax()], seed=7, dtype="float64")
    W = net.build((3, 3, 1)).layers[0].params["W"]
    draws = np.random.default_rng(np.random.SeedSequence([7, 1, *b"conv1"]))
    np.testing.assert_allclose(W, np.sqrt(0.5) * draws.standard_normal((2, 2, 1, 2)))
    assert W.ravel()[:2].tolist() == pytest.approx([-0.058778519, 0.317404926])


def test_initial_weights_depend_on_the_path_alone():
    """One more layer, with parameters or without, leaves the draws of all others as they are."""
    plain = Network([Flatten(), Dense(5), Dense(4), Softmax()]).build((2, 3, 1))
    norm = Network([Flatten(), Dense(5), BatchNorm(), Tanh(), Dense(4), Softmax()])
    found = norm.build((2, 3, 1)).weights()
    for name, array in plain.weights().items():
        np.testing.assert_array_equal(array, found[name])


@pytest.mark.parametrize("target", IMPLEMENTATIONS)
@pytest.mark.parametrize("source", IMPLEMENTATIONS)
def test_weights_load_under_every_implementation(source, target):
    trained = network(impl=source)
    for _ in range(3):
        trained.train(X, Y, 0.1)
    weights = trained.weights()
    loaded = network(impl=target, seed=9).build((8, 7, 2)).load_weights(weights)
    np.testing.assert_allclose(loaded.predict(X), trained.predict(X), atol=1e-10)


def test_weights_are_copies_under_canonical_names():
    net = network()
    net.predict(X)
    weights = net.weights()
    assert {name: array.shape for name, array in weights.items()} == {
        "conv1.W": (3, 3, 2, 5),
        "conv1.b": (5,),
        "conv2.W": (2, 2, 5, 4),
        "conv2.b": (4,),
        "dense1.W": (48, 7),
        "dense1.b": (7,),
        "dense2.W": (7, 4),
        "dense2.b": (4,),
    }
    assert sum(array.size for array in weights.values()) == net.parameter_count
    weights["conv1.W"][...] = 0
    assert np.any(net.layers[0].params["W"] != 0)


def test_weights_that_do_not_fit_are_listed_and_nothing_is_changed():
    net = network()
    net.predict(X)
    before = net.parameters.copy()
    wrong = net.weights() | {"dense2.b": np.zeros(5), "dense3.W": np.zeros(1)}
    wrong = {name: 0 * array for name, array in wrong.items() if name != "conv1.b"}
    with pytest.raises(ShapeError) as raised:
        net.load_weights(wrong)
    assert str(raised.value) == (
        "the weights do not fit this network:\n"
        "  conv1.b: the network has it, the weights do not\n"
        "  dense2.b: the network needs shape (4,), the weights have (5,)\n"
        "  dense3.W: the weights have it, the network does not"
    )
    np.testing.assert_array_equal(net.parameters, before)


def test_the_parameters_are_one_vector_that_layers_see():
    net = network()
    net.predict(X)
    net.parameters[...] = 0
    assert all(not array.any() for layer in net.layers for array in layer.params.values())
    np.testing.assert_allclose(net.predict(X), 0.25)


def test_summary():
    net = Network(
        [
            Conv2D(32, 3, activation="relu"),
            MaxPool2D(2),
            Flatten(),
            Dense(100, activation="relu"),
            Dense(10, activation="softmax"),
        ],
        fuse=False,
    )
    # 26·26·32 outputs of 9 products; 13·13·32 = 5,408 numbers to 100 units, 100 to 10.
    assert net.build((28, 28, 1)).summary() == (
        "layer      type      output shape  receptive field  parameters  multiply-adds\n"
        "-----------------------------------------------------------------------------\n"
        "conv1      conv      26 x 26 x 32            3 x 3         320        194,688\n"
        "relu1      relu      26 x 26 x 32            3 x 3           0              0\n"
        "max_pool1  max_pool  13 x 13 x 32            4 x 4           0              0\n"
        "flatten1   flatten           5408            4 x 4           0              0\n"
        "dense1     dense              100              all     540,900        540,800\n"
        "relu2      relu               100              all           0              0\n"
        "dense2     dense               10              all       1,010          1,000\n"
        "softmax1   softmax             10              all           0              0\n"
        "-----------------------------------------------------------------------------\n"
        "total                                                  542,230        736,488\n"
        "memory of a training step: parameters 2.2 MB, gradients 2.2 MB, and 0.61 MB for each"
        " sample at a time\n"
        "taken from numpy: pointwise, dense"
    )


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_the_implementation_asked_for_is_the_one_that_runs(impl):
    """Every step is taken from it, or from the one that it declares; the summary says which."""
    net = network(impl=impl).build((8, 7, 2))
    assert net.implementation.name == impl
    base = "fast" if impl == "compiled" else impl
    for step in net._plan.all_steps:
        if step.layer.operation in ("conv", "max_pool", "avg_pool"):
            assert step.origin in (impl, base)
            assert step.fusion or step.operation is TABLE[impl].find(step.layer.operation)[0]
        elif step.layer.operation:
            own = step.layer.operation == "dense" and impl == "compiled"
            assert step.fusion or step.origin == (impl if own else "numpy")
    taken = [line for line in net.summary().splitlines() if line.startswith("taken from")]
    expected = "dense" if base == "fast" else "pointwise, dense"
    of_fast = ["taken from fast: max_pool, avg_pool"] if impl == "compiled" else []
    of_numpy = [] if impl == "compiled" else [f"taken from numpy: {expected}"]
    assert taken == [*of_fast, *of_numpy]


def test_an_implementation_may_be_given_as_an_object():
    calls = []
    naive = TABLE["naive"]
    forward, backward = naive.operations["conv"]

    def counting(*arguments):
        calls.append(1)
        return forward(*arguments)

    operations = {**naive.operations, "conv": Operation(counting, backward)}
    network(impl=dataclasses.replace(naive, operations=operations), micro_batch=20).predict(X)
    assert len(calls) == 2  # two convolutions, one micro-batch


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.few(2)
def test_it_learns(impl, dtype):
    """Quadrants of an image: three in four are dark, and the lit one is the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 4
    images = 0.2 * rng.random((24, 6, 6, 1))
    for image, label in zip(images, labels, strict=True):
        top, left = 3 * (label // 2), 3 * (label % 2)
        image[top : top + 3, left : left + 3] += 0.6
    net = Network(
        [
            Conv2D(4, 2, activation="relu"),
            MaxPool2D(2, padding="same"),
            Flatten(),
            Dense(4, activation="softmax"),
        ],
        impl=impl,
        dtype=dtype,
    )
    first, _ = net.train(images, labels, 0.3)
    for _ in range(40):
        net.train(images, labels, 0.3)
    _, loss, error = net.evaluate(images, labels)
    assert error == 0
    assert loss < first / 5


def test_notebooks_show_the_same_table_as_html():
    net = network()
    assert net._repr_html_().startswith("Network(") and "&lt;" not in net._repr_html_()
    net.layers[0].name = "<b>first</b>"
    html = net.build((8, 7, 2))._repr_html_()
    assert "&lt;b&gt;first" in html and "<b>" not in html
    shown = [line.split()[0] for line in net.summary().splitlines()[2 : 2 + len(net.layers)]]
    assert all(name in html for name in shown[1:])
