"""Every config composes, fits its data, and builds; any field of a layer can be set and swept."""

import argparse
import dataclasses
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

import cnnexp as package
from cnnexp.app.compose.configs import make_app
from cnnexp.app.compose.showing import shown
from cnnexp.app.compose.sources import CONFIG_NAME, TABLES_FILE, ConfSource, _fast_loader
from cnnexp.app.locations import config_root
from cnnexp.app.settings.check import check
from cnnexp.app.settings.schema import EVALUATE, TABLES, ImplConfig, classes_of, defaults_of
from cnnexp.data import SOURCES
from cnnexp.data.dataset import Preparation
from cnnexp.engine import IMPLEMENTATIONS, automatic
from cnnexp.errors import ConfigError
from cnnexp.nn.layer import LAYERS
from cnnexp.nn.losses import LOSSES
from cnnexp.runs.rebuild import build_network
from cnnexp.train import OPTIMIZERS, SCHEDULES, trainer
from tests.cases import in_one_test
from tests.commandline import cnnexp, succeed
from tests.data.made import put_cifar

CONF = config_root() / "conf"
GROUPS = ("model", "impl", "data", "optimizer", "schedule", "augment")
FILES = sorted(CONF.glob("*/*.yaml"))  # those of the groups; in hydra/ are Hydra's
SHAPES = {"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1)}
NO_CLASSES = {"regression"}
LARGER = (
    "lenet5", "lenet5_1998", "lenet5_bn", "vgg_bn", "nielsen_conv", "keras_mnist",
    "tensorflow_cifar", "pytorch_cifar",
)  # fmt: skip
TOO_SMALL = {(model, "digits") for model in LARGER}
ENDS = {"autoencoder": "sigmoid", "regression": "dense", "nielsen": "sigmoid"}  # others: softmax
STUDIES = sorted(path.stem for path in (config_root() / "experiments").glob("*.yaml"))


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose(*overrides, mode=RunMode.RUN):
    return make_app().compose_config(
        config_name=CONFIG_NAME,
        overrides=list(overrides),
        run_mode=mode,
        with_log_configuration=False,
        validate_sweep_overrides=False,
    )


@pytest.fixture
def own_data(tmp_path):
    """Settings that name data of one's own for the sources that need them."""
    np.savez(tmp_path / "own.npz", X=np.zeros((9, 12, 12)), Y=np.arange(9) % 3)
    np.save(tmp_path / "X.npy", np.zeros((9, 12, 12)))
    np.save(tmp_path / "Y.npy", np.arange(9) % 3)
    (tmp_path / "own.csv").write_text("a,b\n1,2\n3,4\n")
    put_cifar(tmp_path, 1)
    return {
        "npz": [f"data.file={tmp_path / 'own.npz'}"],
        "npy": [f"data.images={tmp_path / 'X.npy'}", f"data.labels={tmp_path / 'Y.npy'}"],
        "image_folder": [f"data.dir={tmp_path}"],
        "cifar10": [f"data.dir={tmp_path}"],
        "csv": [f"data.file={tmp_path / 'own.csv'}", "model=flat"],
        "sklearn": ["model=flat"],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.few(3)
def test_every_config_composes_and_passes_the_checks(path, own_data, tmp_path):
    group, name = path.parent.name, path.stem
    extra = own_data.get(name, []) if group == "data" else []
    if name == "parquet":
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        pd.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "own.parquet")
        extra = [f"data.file={tmp_path / 'own.parquet'}", "model=flat"]
    if group == "impl" and name != "auto" and (missing := IMPLEMENTATIONS[name].missing()):
        pytest.skip(missing)
    if name == "regression":
        extra = ["data=sklearn", "data.set=diabetes", "loss=mean_squared_error"]
    if name in LARGER:
        extra = ["data=mnist"]
    if name == "reduce_on_plateau":
        extra = ["data.validation=0.1"]
    if name == "binary_cross_entropy":
        extra = ["model=linear", "model.layers.1.activation=sigmoid"]
    config = check(compose(f"{group}={name}", *extra))
    assert config[group]["name"] == (automatic() if name == "auto" else name)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        pair
        for pair in itertools.product(names("model"), ("digits", "mnist"))
        if pair not in TOO_SMALL and pair[0] not in NO_CLASSES
    ],
)
@pytest.mark.few(2)
def test_every_model_builds_for_every_data_set_that_fits(model, data):
    config = check(compose(f"model={model}", f"data={data}"))
    network = build_network(config, SHAPES[data])
    given = SHAPES[data] if model == "autoencoder" else (10,)
    assert network.output_shape == given
    assert network.predict(np.zeros((2, *SHAPES[data]))).shape == (2, *given)
    assert [layer.type for layer in network.layers][-1] == ENDS.get(model, "softmax")


@pytest.mark.parametrize(("model", "data"), sorted(TOO_SMALL))
@pytest.mark.few(3)
def test_a_model_that_does_not_fit_says_so(model, data):
    with pytest.raises(ConfigError, match="does not fit"):
        check(compose(f"model={model}", f"data={data}"))


def test_a_last_layer_without_units_takes_the_number_of_classes(own_data):
    assert check(compose())["model"]["layers"][-1]["units"] == 10
    # It is not known of files before they are read.
    assert check(compose("data=npz", *own_data["npz"]))["model"]["layers"][-1].get("units") is None


@pytest.mark.parametrize(
    ("group", "table"),
    [
        ("impl", IMPLEMENTATIONS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("data", SOURCES),
        ("loss", LOSSES),
    ],
)
def test_there_is_a_config_for_every_row_of_a_table(group, table):
    assert [name for name in names(group) if name != "auto"] == sorted(table)


@in_one_test(
    "path",
    [p for p in FILES if p.parent.name in ("impl", "optimizer", "schedule", "loss")],
)
def test_a_config_names_all_options_with_their_defaults(path):
    """So that a student finds them."""
    group, name = path.parent.name, path.stem
    table = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}.get(group)
    cls = ImplConfig if table is None else table[name]
    fields = {f.name: f.default for f in dataclasses.fields(cls) if f.name != "name"}
    written = yaml.safe_load(path.read_text())
    written = {k: v for k, v in written.items() if k not in ("name", "defaults")}
    assert written.keys() == fields.keys()
    numbers = {k: float(v) if re.fullmatch(r"\d+e-\d+", str(v)) else v for k, v in written.items()}
    assert numbers == fields


@in_one_test("path", [*FILES, CONF / "config.yaml"])
def test_every_config_says_what_it_is(path):
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("group", GROUPS)
def test_schemas_do_not_show_up_as_options(group):
    assert sorted(make_app().config_loader.get_group_options(group)) == names(group)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.few(2)
def test_every_study_composes(name):
    if "search" in name:
        pytest.importorskip("optuna")
    assert compose(f"experiments={name}", mode=RunMode.MULTIRUN).model.layers


# Fields of layers ------------------------------------------------------------------------------


def layer_fields():
    """Every option of every layer of the default network, with another value than it has."""
    values = {
        "filters": 5,
        "kernel_size": 2,
        "stride": 2,
        "padding": "same",
        "activation": "softmax",
        "initializer": "glorot_uniform",
        "units": 17,
        "dilation": 2,
        "groups": 1,
    }
    config = check(compose())
    for k, entry in enumerate(config["model"]["layers"]):
        for field in dataclasses.fields(LAYERS[entry["type"]]):
            yield k, field.name, values[field.name]


@pytest.mark.parametrize(("k", "field", "value"), list(layer_fields()))
@pytest.mark.few(2)
def test_any_field_of_a_layer_can_be_set(k, field, value):
    """Whether or not the preset names it."""
    config = check(compose(f"model.layers.{k}.{field}={value}"))
    assert config["model"]["layers"][k][field] == value
    build_network(config, (8, 8, 1))


def test_places_of_layers_may_stand_in_brackets():
    shown = yaml.safe_load(succeed("--cfg", "job", "model.layers[0].stride=2"))
    assert shown["model"]["layers"][0]["stride"] == 2


@pytest.mark.long
def test_fields_of_layers_can_be_swept():
    succeed(
        "-m",
        "model.layers[0].filters=2,3",
        "model.layers.0.padding=same",
        "hydra/launcher=basic",
        "sweep.dir=grid",
        "epochs=1",
        "data.limit=30",
    )
    runs = package.load_runs("grid").sort_values("model.layers.0.filters")
    assert runs["model.layers.0.filters"].tolist() == [2, 3]
    assert runs["model.layers.0.padding"].tolist() == ["same", "same"]
    shapes = [
        package.load_run(path).network.weights()["conv1.W"].shape for path in runs["run"].tolist()
    ]
    assert shapes == [(3, 3, 1, 2), (3, 3, 1, 3)]


# --cfg ----------------------------------------------------------------------------------------


def test_cfg_shows_all_settings(tmp_path):
    shown = yaml.safe_load(succeed("--cfg", "job", "epochs=7", "optimizer=adam"))
    assert set(shown) >= {*GROUPS, "learning_rate", "epochs", "batch_size", "seed", "dtype"}
    assert shown["epochs"] == 7
    assert shown["optimizer"]["name"] == "adam"
    assert shown["data"].keys() == {"name", *(f.name for f in dataclasses.fields(Preparation))}
    assert yaml.safe_load(succeed("--cfg", "job", "--package", "optimizer"))["nesterov"] is True
    assert "hydra" in yaml.safe_load(succeed("--cfg", "hydra"))
    assert not list(tmp_path.iterdir())


def test_info_shows_where_configs_come_from(tmp_path):
    assert re.search(r"conf\b", succeed("--info", "searchpath"))
    assert not list(tmp_path.iterdir())


def test_what_is_recorded_is_what_was_composed():
    succeed("model=flat", "epochs=1", "data.limit=30", "hydra.run.dir=run", "seed=3")
    recorded = package.load_run("run").config
    asked = check(compose("model=flat", "epochs=1", "data.limit=30", "seed=3"))
    assert {k: v for k, v in recorded.items() if k != "sweep"} == {
        k: v for k, v in asked.items() if k != "sweep"
    }
    assert recorded["learning_rate"] == 0.1  # the optimizer's own


@pytest.mark.long
def test_unset_learning_rate_is_the_optimizers_own():
    for name in OPTIMIZERS:
        config = check(compose(f"optimizer={name}"))
        assert config["learning_rate"] == OPTIMIZERS[name].default_learning_rate
    assert check(compose("learning_rate=0.7"))["learning_rate"] == 0.7


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ([], 16),
        (["data=mnist"], 128),
        (["data=mnist", "data.limit=1000"], 16),
        (["data=mnist", "data.limit=10000"], 64),
        (["data=mnist", "batch_size=7"], 7),
    ],
)
@pytest.mark.few(2)
def test_unset_batch_size_suits_the_number_of_samples(settings, size):
    assert check(compose(*settings))["batch_size"] == size


@in_one_test("study", STUDIES)
def test_every_study_says_its_batch_size(study):
    text = (config_root() / "experiments" / f"{study}.yaml").read_text()
    assert re.search(r"^ *batch_size: ", text, re.MULTILINE)


def test_scaling_that_is_not_set_suits_images_or_tables():
    assert check(compose())["data"]["scaling"] == "unit"
    assert check(compose("data=sklearn", "model=flat"))["data"]["scaling"] == "standard"
    assert check(compose("data.scaling=none"))["data"]["scaling"] == "none"


def test_checking_twice_changes_nothing():
    cfg = compose("sweep.dir=S")  # by default it has the time in its name
    assert check(cfg) == check(cfg)
    assert "units" not in cfg.model.layers[4]  # filled in for the run, not in what was asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "error: --package nope: no such part. Did you mean 'note'? Parts: model, impl,"),
        (["batch_size"], "error: --package batch_size: is null, so there is nothing to show.\n"),
        (["model.nope"], "error: --package model.nope: no such part."),
    ],
)
@pytest.mark.few(1)
def test_a_part_of_the_settings_that_is_not_there(words, said):
    ended = cnnexp("--cfg", "job", "--package", *words)
    assert (ended.code, ended.err[: len(said)], ended.out) == (2, said, "")


def test_configs_are_found_inside_the_package_first(tmp_path, monkeypatch):
    from cnnexp.app import locations

    assert config_root() == Path(package.__file__).resolve().parents[1]  # a clone
    inside = tmp_path / "cnnexp"
    (inside / "conf").mkdir(parents=True)
    (inside / "conf" / "config.yaml").touch()
    monkeypatch.setattr(locations, "PACKAGE", inside)
    assert config_root() == inside


def test_our_files_are_read_as_omegaconf_reads_them():
    """They are read by another parser, which must tell numbers from texts in the same way."""
    folder = config_root() / "conf"
    source = ConfSource("main", f"conf://{folder}")
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        assert source.load_config(name).config == OmegaConf.load(path), name
    text = "[1e-3, 1_0, .5, 1:30, true, no, 'yes', ~, 2026-01-31, +1E5, .inf, 0o17]"
    assert yaml.load(text, Loader=_fast_loader()) == OmegaConf.create(text)
    with pytest.raises(yaml.constructor.ConstructorError, match="duplicate key"):
        yaml.load("{a: 1, a: 2}", Loader=_fast_loader())


def tables() -> dict[str, dict]:
    """Return what ``tables.json`` must hold: the options of each of our rows."""
    return {
        f"schema/{group}/{name}": {"name": name} | defaults_of(*classes_of(group, name))
        for group, table in TABLES.items()
        for name in table
        if group != "impl" and table[name].__module__.startswith("cnnexp.")
    }


def test_settings_are_shown_from_a_file_that_holds_what_our_tables_hold():
    """Else run: python -m tests.app.test_configs."""
    assert json.loads(TABLES_FILE.read_text(encoding="utf-8")) == tables()
    assert EVALUATE == trainer.EVALUATE


def asked(*words: str, **flags: object) -> argparse.Namespace:
    flags = {"cfg": "job", "config_dir": None, "config_name": None, "package": None} | flags
    return argparse.Namespace(overrides=list(words), resolve=False, **flags)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("optimizer=adam", "optimizer.beta1=0.8", "learning_rate=0.3"),
        ("experiments=initialisation", "model=resnet", "model.layers.0.filters=3"),
        ("data=csv", "data.file=a b.csv", "schedule=one_cycle", "loss=huber", "augment=affine"),
    ],
    ids=" ".join,
)
@pytest.mark.few(2)
def test_settings_are_shown_as_they_are_composed(words, capsys):
    make_app().show_cfg(CONFIG_NAME, list(words), "job", None)
    composed = capsys.readouterr().out
    assert shown(asked(*words)) == composed


def test_where_more_has_a_say_settings_are_composed_in_the_usual_way(tmp_path):
    for word in ("plugins=[x]", "+a=1", "~ema", "hydra.job.name=x", "optimizer@a=adam", "lr=3"):
        assert shown(asked(word)) is None, word
    for flags in ({"cfg": "all"}, {"config_dir": "x"}, {"config_name": "x"}, {"package": "x"}):
        assert shown(asked(**flags)) is None, flags
    (tmp_path / "conf").mkdir()
    assert shown(asked()) is None


if __name__ == "__main__":
    rows = (f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in tables().items())
    TABLES_FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
