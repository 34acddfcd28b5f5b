"""What every layer must do, checked on one layer, and said in words where it does not.

The layer stands in a small network: a layer with weights before it, so that its ``dA_prev`` is
looked at, and a dense layer after it. What is checked is the contract of `cnnexp.nn.layer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine import Array
from cnnexp.nn.activations import Softmax
from cnnexp.nn.convolutions import Conv2D
from cnnexp.nn.gradient_check import check_gradients
from cnnexp.nn.layer import Layer, Shape
from cnnexp.nn.layers import Dense, Flatten
from cnnexp.nn.network import Network
from cnnexp.nn.plan import Plan, finish

SAMPLES, CLASSES = 7, 3
BOUND = 1e-5  # relative difference of gradients
Make = Callable[[], Layer]


class Subject(NamedTuple):
    """A layer, anew at each call of `make`, the shape of one sample, and an implementation."""

    make: Make
    shape: Shape
    impl: str

    def network(self, count: int = 1, **options: Any) -> Network:
        """Return a network around the layer, or around several of its kind."""
        shape = self.shape
        first: Layer = Conv2D(shape[-1], 1) if len(shape) == 3 else Dense(shape[0])
        tested = [self.make() for _ in range(count)]
        for k, layer in enumerate(tested, 1):
            if not layer.type:  # it is in no table yet
                layer.given_name = f"{type(layer).__name__.lower()}{k}"
        inner = shape
        for layer in tested:
            inner = layer.infer_shape(inner)
        flat = [Flatten()] if len(inner) > 1 else []
        layers: Sequence[Layer] = [first, *tested, *flat, Dense(CLASSES), Softmax()]
        settings: dict[str, Any] = {"dtype": "float64", "micro_batch": SAMPLES, "impl": self.impl}
        return Network(layers, **(settings | options)).build(shape)

    def samples(self, dtype: str = "float64") -> tuple[Array, Array]:
        """Return samples and labels, the same each time."""
        generator = np.random.default_rng(0)
        X = generator.standard_normal((SAMPLES, *self.shape)).astype(dtype)
        return X, np.arange(SAMPLES) % CLASSES

    def gradient(self, network: Network) -> Array:
        """Return the gradient of the samples' mean loss."""
        return network.gradients(*self.samples())[1].copy()


class Check(NamedTuple):
    """A rule, and how a layer broke it; nothing where it did not."""

    rule: str
    fault: str


def check_layer(make: Make, shape: Shape, impl: str = "fast") -> list[Check]:
    """Check a layer.

    Parameters
    ----------
    make : callable
        Makes the layer, anew at each call.
    shape : tuple of int
        Of one sample of its input: (rows, columns, channels), or (features,).
    impl : str
        The implementation that computes it.

    Returns
    -------
    list of Check
        In the order of the rules. An exception of the layer is a fault as well.
    """
    found = []
    for rule, function in RULES.items():
        try:
            fault = function(Subject(make, shape, impl))
        except Exception as error:  # whatever a user's layer does
            fault = f"raises {type(error).__name__}: {error}"
        found.append(Check(rule, fault or ""))
    return found


def _shapes(subject: Subject) -> str:
    network = subject.network()
    if form := _form(subject, network.layers[1], network):
        return form
    layer = network.layers[1]
    inferred = layer.infer_shape(subject.shape)
    plan = Plan(network.layers[:2], network.implementation, fuse=False)
    contexts = plan.contexts(reuse=False)
    for context in contexts:
        context.training = False
    found = finish(plan.forward(subject.samples()[0], contexts))[0].shape
    if found == (SAMPLES, *inferred):
        return ""
    return f"infer_shape says {inferred}, and forward gives {found[1:]} for each sample"


def _form(subject: Subject, layer: Layer, network: Network) -> str:
    """Say what is wrong with what the layer's own `forward` and `backward` return."""
    cls = type(layer)
    if layer.operation or layer.cross_sample or layer.children():
        return ""  # what it returns is the engine's, or made in parts
    for method in ("forward", "backward"):
        if getattr(cls, method) is getattr(Layer, method):
            return f"{cls.__name__} has no {method}, and names no operation that has one"
    X, context = subject.samples()[0], network.context(layer, training=True)
    found: Any = layer.forward(X, context)
    if not (isinstance(found, tuple) and len(found) == 2):
        return f"forward must return two things, (A, cache). Got {_what(found)}"
    A, cache = found
    if not isinstance(A, np.ndarray):
        return f"forward must return an array and a cache. Got {_what(A)} as the first"
    if A.shape != (SAMPLES, *layer.output_shape):
        return ""  # which is said in other words
    back: Any = layer.backward(cache, np.ones(A.shape), context)
    if not (isinstance(back, tuple) and len(back) == 2 and isinstance(back[1], dict)):
        return f"backward must return two things, (dA_prev, gradients by name). Got {_what(back)}"
    return _form_of_gradients(layer, X, *back)


def _form_of_gradients(layer: Layer, X: Array, dA_prev: Any, grads: dict[str, Any]) -> str:
    """Say what is wrong with the shapes and names of gradients."""
    if not isinstance(dA_prev, np.ndarray) or dA_prev.shape != X.shape:
        return f"backward must return dA_prev of shape {X.shape}. Got {_what(dA_prev)}"
    if set(grads) != set(layer.params):
        names = ", ".join(layer.params) or "no parameters"
        return f"backward must return a gradient for {names}. Got {', '.join(grads) or 'none'}"
    for name, gradient in grads.items():
        wanted = layer.params[name].shape
        if gradient is not None and np.shape(gradient) != wanted:
            return (
                f"the gradient of {name} must have its shape, {wanted}, as the sum over samples."
                f" Got {np.shape(gradient)}"
            )
    return ""


def _what(thing: Any) -> str:
    """Say what something is."""
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape}"
    if isinstance(thing, tuple):
        return f"({', '.join(_what(part) for part in thing)})"
    return "nothing" if thing is None else f"a {type(thing).__name__}"


def _gradients(subject: Subject) -> str:
    network = subject.network()
    checks = check_gradients(network, network.batch(*subject.samples()))
    wrong = [check for check in checks if check.difference > BOUND]
    if not wrong:
        return ""
    first = next(iter(network.layers)).path
    places = ", ".join(
        f"{c.path} (computed {c.analytic:.2g}, measured {c.numeric:.2g})" for c in wrong
    )
    hint = " Those of the layer before it come from dA_prev." if wrong[0].path[:-2] == first else ""
    return f"gradients differ from differences of the loss: {places}.{hint}"


def _inputs(subject: Subject) -> str:
    network = subject.network()
    layer = network.layers[1]
    if layer.children():
        return ""  # a container gets what its branches give
    context = network.context(layer, training=False)
    X = subject.samples()[0]
    before, weights = X.copy(), network.weights()
    A, cache = layer.forward(X, context)
    dA = np.ones(A.shape)
    layer.backward(cache, dA, context)
    if not np.array_equal(X, before):
        return "forward or backward changes its input"
    if not np.array_equal(dA, np.ones(A.shape)):
        return "backward changes dA"
    for name, value in network.weights().items():
        if not np.array_equal(value, weights[name]):
            return f"a pass changes the parameter {name}"
    return ""


def _nothing_kept(subject: Subject) -> str:
    network = subject.network()
    layer = network.layers[1]
    before = {name: _fingerprint(value) for name, value in vars(layer).items()}
    network.gradients(*subject.samples())
    after = {name: _fingerprint(value) for name, value in vars(layer).items()}
    kept = sorted(set(after) - set(before))
    if kept:
        return f"a pass stores {', '.join(kept)} on the layer; return it in the cache"
    changed = [name for name in before if after.get(name) != before[name]]
    drawn = [name for name in changed if isinstance(getattr(layer, name), np.random.Generator)]
    if drawn:
        return f"a pass draws from {drawn[0]}, a generator of its own; take context.random(draws)"
    return f"a pass changes {', '.join(changed)} of the layer" if changed else ""


def _fingerprint(value: Any) -> Any:
    """Return what tells whether an attribute has changed."""
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return value if isinstance(value, (int, float, str, bool, tuple)) else id(value)


def _types(subject: Subject) -> str:
    network = subject.network(dtype="float32")
    for name, result in network.activations(subject.samples("float32")[0]):
        if result.dtype != np.float32:
            return f"the result of {name} is {result.dtype} where its input is float32"
    layer = network.layers[1]
    if type(layer).backward is Layer.backward or layer.cross_sample or layer.children():
        return ""
    context = network.context(layer, training=True)
    A, cache = layer.forward(subject.samples("float32")[0], context)
    dA_prev, grads = layer.backward(cache, np.ones(A.shape, np.float32), context)
    for name, found in ({"dA_prev": dA_prev} | grads).items():
        if found is not None and found.dtype != np.float32:
            what = name if name == "dA_prev" else f"the gradient of {name}"
            return f"{what} is {found.dtype} where dA is float32"
    return ""


def _orders(subject: Subject) -> str:
    X, Y = subject.samples()
    turned = np.ascontiguousarray(X.swapaxes(0, -1)).swapaxes(0, -1)
    first, second = (subject.network().gradients(images, Y)[1].copy() for images in (X, turned))
    if np.allclose(first, second, rtol=1e-9, atol=1e-12):
        return ""
    return "the gradients depend on the order of the samples in memory"


def _same_as_naive(subject: Subject) -> str:
    own = subject.gradient(subject.network())
    naive = subject.gradient(subject._replace(impl="naive").network())
    if np.allclose(own, naive, rtol=1e-9, atol=1e-11):
        return ""
    return f"the gradients differ from those under impl=naive by {np.abs(own - naive).max():.1e}"


def _micro_batches(subject: Subject) -> str:
    whole = subject.gradient(subject.network())
    parts = [subject.gradient(subject.network(micro_batch=n)) for n in (2, 1)]
    if all(np.allclose(whole, part, rtol=1e-8, atol=1e-11) for part in parts):
        return ""
    return (
        "the gradients depend on the size of a micro-batch: gradients of parameters are sums over"
        " the samples, draws must come from context.random, and sums over the mini-batch from"
        " train_forward"
    )


def _workers(subject: Subject) -> str:
    alone = subject.gradient(subject.network(micro_batch=2, threads=1))
    network = subject.network(micro_batch=2, threads=3)
    for _ in range(6):  # worker processes are made after some steps
        network.steps_done = 0
        shared = subject.gradient(network)
    network.close()
    return "" if np.array_equal(alone, shared) else "the bits depend on the number of workers"


def _memory(subject: Subject) -> str:
    inferred = subject.make().infer_shape(subject.shape)
    network = subject.network(count=2 if inferred == subject.shape else 1)
    first = subject.gradient(network)
    network.steps_done = 0
    if np.array_equal(first, subject.gradient(network)):
        return ""
    return "a second pass over the same samples gives other gradients"


def _resume(subject: Subject) -> str:
    X, Y = subject.samples()
    whole, first = subject.network(), subject.network()
    for network, steps in ((whole, 3), (first, 2)):
        for _ in range(steps):
            network.train(X, Y, 0.1)
    second = subject.network().load_weights(first.weights())
    second.steps_done = first.steps_done
    second.train(X, Y, 0.1)
    if all(np.array_equal(v, whole.weights()[k]) for k, v in second.weights().items()):
        return ""
    return "a resumed training differs: what changes from step to step must be in `state`"


def _implementation(subject: Subject) -> str:
    network = subject.network()
    step = Plan(network.layers[1:2], network.implementation, fuse=False).steps[0]
    if not step.layer.operation or step.branches:
        return ""
    known, base = {subject.impl}, network.implementation.base
    while base is not None:
        known.add(base.name)
        base = base.base
    own = network.implementation.operations
    if (step.layer.operation in own and step.origin != subject.impl) or step.origin not in known:
        return (
            f"{step.layer.operation} is computed by {step.origin}, and asked for is {subject.impl}"
        )
    return ""


RULES: dict[str, Callable[[Subject], str]] = {
    "results and gradients have the shapes that they must": _shapes,
    "gradients equal differences of the loss": _gradients,
    "the same numbers as under naive": _same_as_naive,
    "inputs and parameters stay as they are": _inputs,
    "a pass stores nothing on the layer": _nothing_kept,
    "float32 stays float32": _types,
    "any order of axes in memory": _orders,
    "any size of a micro-batch": _micro_batches,
    "any number of workers, bit for bit": _workers,
    "memory that is used again": _memory,
    "resumed, bit for bit": _resume,
    "the implementation that is asked for computes it": _implementation,
}
