"""Defects 10 and 11: the Python interface, and the gradient of `fast` where candidates tie."""

from __future__ import annotations

from experiments.reliability.child import Place, short
from experiments.reliability.reproduced import Happened, reproduction

PROGRAM = """
import sys, threading, warnings
import numpy as np
import cnnexp
from cnnexp import AvgPool2D, Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax, Tanh
from cnnexp.errors import CnnexpError

warnings.simplefilter("ignore")
rng, nan, inf = np.random.default_rng(0), float("nan"), float("inf")
X, Y = rng.random((12, 6, 6, 1)), np.arange(12) % 3

def network(layers=0, **options):
    made = [Conv2D(4, 3), MaxPool2D(2), Flatten(), Dense(3), Softmax()]
    return Network(made if layers == 0 else layers, **{"seed": 0, **options})

def trained(X, Y, rate, **options):
    net = network(**options)
    net.train(X, Y, rate)
    finite = all(np.isfinite(w).all() for layer in net.layers for w in layer.params.values())
    return "trained; parameters are " + ("finite" if finite else "NaN")

def raced():
    sys.setswitchinterval(1e-6)
    for _ in range(50):
        net, faults, barrier = network(), [], threading.Barrier(3)
        def work():
            barrier.wait()
            try: net.predict(X)
            except Exception as error: faults.append(error)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        if faults: raise faults[0]
    return "ended well"

def classic():
    from cnnexp.classic import FCLayer_Softmax, FlatLayer, Net
    Net([FlatLayer(), FCLayer_Softmax(3)]).train((X, Y), np.float32(0.1))
    return "trained"

def large():
    wide = (rng.random((4, 6, 6, 16)) * 1e37).astype("f4")
    def finite(impl):
        net = Network([Conv2D(16, 3)], impl=impl, seed=0).build(wide.shape[1:])
        return bool(np.isfinite(net.predict(wide)).all())
    return ", ".join(f"{impl} {finite(impl)}" for impl in ("naive", "sg", "im2col", "fast"))

def tied():
    black = np.zeros((4, 12, 12, 2))
    black[:, 3:9, 3:9] = rng.integers(0, 3, (4, 6, 6, 2)) / 2
    def gradient(impl):
        layers = [MaxPool2D(4, stride=2, padding="same"), Conv2D(12, 2, padding=2), Tanh(),
                  Conv2D(9, 3, padding=2), Tanh(), MaxPool2D(3), Flatten(), Dense(3), Softmax()]
        net = Network(layers, impl=impl, seed=0, dtype="float64").build(black.shape[1:])
        net.train(black, Y[:4], 1.0)
        return -net.layers[1].params["b"]  # they were 0
    return f"{abs(gradient('fast') - gradient('im2col')).max():.1e}"

try:
    print(eval(sys.argv[1]))
except CnnexpError as error:
    print("refused:", error)
except Exception as error:
    print("raises", type(error).__name__ + ":", error)
"""


def says(place: Place, expression: str) -> str:
    """Return what an expression gives, or raises."""
    ended = place.python("-c", PROGRAM, expression)
    return short(ended.out) if ended.well else ended.said


REFUSED = {
    "a learning rate of `None`": "trained(X, Y, None)",
    'a learning rate of `"nan"`': "trained(X, Y, 'nan')",
    "a learning rate of NaN": "trained(X, Y, nan)",
    "samples that are NaN": "trained(X * nan, Y, 0.1)",
    "one-hot labels that are NaN": "trained(X, np.eye(3)[Y] * nan, 0.1)",
    "samples of different lengths": "trained([[1.0], [1.0, 2.0]], [0, 1], 0.1)",
    "`impl=None`": "trained(X, Y, 0.1, impl=None)",
    '`dtype="bogus"`': "trained(X, Y, 0.1, dtype='bogus')",
    "`seed=-1`": "trained(X, Y, 0.1, seed=-1)",
    "`layers=None`": "trained(X, Y, 0.1, layers=None)",
    "a convolution of 10³⁰ filters": "trained(X, Y, 0.1, layers=[Conv2D(10**30, 3), Flatten()])",
}
WELL = {
    "`np.float32(0.1)` as a learning rate of `classic`": "classic()",
    "three threads on a network that is not built, 50 times": "raced()",
}


def _add(what: str, expression: str, beginnings: tuple[str, ...]) -> None:
    def try_it(place: Place) -> Happened:
        found = says(place, expression)
        return found, found.startswith(beginnings)

    reproduction(10, what, trained=False, quick=what == "`seed=-1`")(try_it)


for _what, _expression in REFUSED.items():
    _add(_what, _expression, ("refused:",))
for _what, _expression in WELL.items():
    _add(_what, _expression, ("trained", "ended well"))


CLOCK = """
import sys, time
real = time.time
from cnnexp.app.main import main
from cnnexp.train.trainer import Trainer
events = Trainer.events
def set_back(self):
    time.time = lambda: real() - 3600
    return events(self)
Trainer.events = set_back
sys.exit(main(["model=flat", "epochs=1", "data.limit=40", "hydra.run.dir=made"]))
"""


@reproduction(10, "a run while which the clock is set back by an hour", trained=False)
def clock(place: Place) -> Happened:
    import json

    ended = place.python("-c", CLOCK)
    path = place.folder / "made" / "run.json"
    if not path.exists():
        return ended.said, False
    seconds = json.loads(path.read_bytes())["usage"]["wall_seconds"]
    return f"records {seconds:,.0f} s", ended.well and seconds >= 0


@reproduction(
    11, "gradient of `conv1.b`: largest difference of `fast` from `im2col`", trained=False
)
def ties(place: Place) -> Happened:
    found = says(place, "tied()")
    return found, found.replace(".", "").replace("e-", "").isdigit() and float(found) < 1e-12


@reproduction(10, "float32 samples of 10³⁷: whether each implementation is finite", trained=False)
def overflow(place: Place) -> Happened:
    found = says(place, "large()")
    return found, found.count("True") == 4
