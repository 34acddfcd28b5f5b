"""The names that the package gives away."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

import cnnexp
from tests.cases import in_one_test

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(cnnexp.__path__, "cnnexp.")
    if not module.name.startswith(("cnnexp.plugins", "cnnexp.__main__"))
)


def test_all_is_what_is_promised():
    assert cnnexp.__all__ == [
        "ELU",
        "GELU",
        "LAYERS",
        "LOSSES",
        "METRICS",
        "AvgPool2D",
        "BatchNorm",
        "BinaryCrossEntropy",
        "Block",
        "Concat",
        "Container",
        "Context",
        "Conv2D",
        "Crop2D",
        "CrossEntropy",
        "Dense",
        "DepthwiseConv2D",
        "Dropout",
        "Flatten",
        "Focal",
        "GlobalAvgPool2D",
        "GlobalMaxPool2D",
        "GroupNorm",
        "HardSwish",
        "Hinge",
        "Huber",
        "Layer",
        "LayerNorm",
        "LeakyReLU",
        "LogSoftmax",
        "Loss",
        "MaxPool2D",
        "MeanAbsoluteError",
        "MeanSquaredError",
        "Network",
        "Pad2D",
        "Pointwise",
        "PointwiseConv2D",
        "ReLU",
        "Reshape",
        "Residual",
        "Run",
        "SeparableConv2D",
        "SiLU",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "SpatialDropout",
        "Tanh",
        "TransposedConv2D",
        "UpSample2D",
        "__version__",
        "load_run",
        "load_runs",
        "run",
        "sweep",
    ]
    assert dir(cnnexp) == sorted(cnnexp.__all__)


@in_one_test("name", cnnexp.__all__)
def test_every_name_is_there_and_documented(name):
    thing = getattr(cnnexp, name)
    assert name == "__version__" or inspect.getdoc(thing)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="module 'cnnexp' has no attribute 'Netwrok'"):
        cnnexp.Netwrok  # noqa: B018


def test_the_package_says_that_it_is_typed():
    assert (Path(cnnexp.__file__).parent / "py.typed").is_file()


def modules_of(room):
    """Return the modules of a room; what is made for Numba is there with Numba alone."""
    names = [name for name in MODULES if name.split(".")[1:2] == [room]]
    if importlib.util.find_spec("numba") is None:
        names = [name for name in names if name != "cnnexp.engine.compiled.tile_code"]
    return [importlib.import_module(name) for name in names]


ROOMS = sorted({name.split(".")[1] for name in MODULES if "." in name})


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_and_all_its_public_names_are_documented(room):
    for module in modules_of(room):
        name = module.__name__
        assert inspect.getdoc(module), f"{name} has no docstring"
        for key, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == name
            if key.startswith("_") or not own or not (inspect.isclass(thing) or callable(thing)):
                continue
            assert inspect.getdoc(thing), f"{name}.{key} has no docstring"
            methods = vars(thing).items() if inspect.isclass(thing) else ()
            for method, value in methods:
                if not method.startswith("_") and inspect.isfunction(value):
                    assert inspect.getdoc(getattr(thing, method)), f"{name}.{key}.{method}"


@pytest.mark.parametrize("room", ROOMS)
def test_all_of_a_module_is_there(room):
    for module in modules_of(room):
        names = getattr(module, "__all__", [])
        assert len(names) == len(set(names)), module.__name__
        assert all(hasattr(module, key) for key in names), module.__name__


def test_names_are_where_type_checkers_look_for_them():
    """`cnnexp` has each name twice: imported for type checkers, and in a table for Python."""
    tree = ast.parse(Path(cnnexp.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    for_types = {node.module: {alias.name for alias in node.names} for node in block.body}
    assert for_types == {module: set(names) for module, names in cnnexp._PLACES.items()}
    names = {name for names in for_types.values() for name in names}
    assert names == {*cnnexp.__all__} - {"__version__"}
