"""Every setting is documented, and found by ``help``.

``python -m tests.docs.reference`` writes ``docs/settings.md`` again.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from cnnexp import LAYERS
from cnnexp.app.reference.docstrings import documented, parameters_of
from cnnexp.app.reference.settings import Setting, find
from cnnexp.app.reference.variables import VARIABLES
from cnnexp.app.settings.schema import TABLES, Config, option_names
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.train import OPTIMIZERS, SCHEDULES
from tests.commandline import cnnexp, succeed
from tests.docs import reference

EVERYTHING = reference.everything()


def setting(section: str, key: str) -> Setting:
    (found,) = [
        s for part in EVERYTHING if part.name == section for s in part.settings if s.key == key
    ]
    return found


def test_every_setting_is_documented() -> None:
    """In the numpydoc section Parameters of its dataclass."""
    missing = [
        f"{section.name}: {s.key}"
        for section in EVERYTHING
        for s in section.settings
        if not s.meaning
    ]
    assert not missing
    assert not [section.name for section in EVERYTHING if not section.what]


def test_every_field_of_every_table_is_there() -> None:
    keys = {s.key for section in EVERYTHING for s in section.settings}
    assert keys >= {field.name for field in dataclasses.fields(Config)}
    for group, table in TABLES.items():
        for name in table:
            assert keys >= {f"{group}.{option}" for option in option_names(group, name)}
    for name in LAYERS:
        layer = LAYERS[name]
        fields = dataclasses.fields(layer) if dataclasses.is_dataclass(layer) else ()
        assert keys >= {f"model.layers.N.{field.name}" for field in fields}


@pytest.mark.parametrize(
    ("section", "key", "expected"),
    [
        ("impl", "impl.name", ("a text", "auto", "auto, fast, compiled, cupy, im2col, naive, sg")),
        ("a run", "epochs", ("a whole number", "4", "at least 1")),
        ("a run", "optimizer", ("group", "sgd", ", ".join(sorted(OPTIMIZERS)))),
        ("checkpoint", "checkpoint.every", ("a whole number or a text", "epoch", "'epoch' or a")),
        ("data", "data.scaling", ("a text or null", "null", "one of unit, standard, none")),
        ("optimizer=adamw", "optimizer.weight_decay", ("a number", "0.01", "at least 0")),
        ("schedule=cosine", "schedule.final", ("a number", "0.0", "between 0 and 1")),
        ("type: conv", "model.layers.N.filters", ("a whole number", "required", "at least 1")),
        ("type: leaky_relu", "model.layers.N.slope", ("a number", "0.01", "above 0 and at most 1")),
    ],
)
def test_type_default_and_range_are_those_of_the_code(
    section: str, key: str, expected: tuple[str, str, str]
) -> None:
    found = setting(section, key)
    assert (found.type, found.default) == expected[:2]
    assert found.allowed.startswith(expected[2])


def test_meanings_come_from_the_docstring_that_has_them() -> None:
    assert parameters_of(OPTIMIZERS["lamb"])["beta1"].startswith("Fraction of the running mean")
    assert documented(LAYERS["separable_conv"])["filters"].type == "int"
    assert setting("type: max_pool", "model.layers.N.stride").meaning.startswith("Pixels from one")


def test_no_two_options_of_a_choice_have_the_same_meaning() -> None:
    """A sentence that stands for two says of neither what it is."""
    for section in EVERYTHING:
        meanings = [s.meaning for s in section.settings]
        assert len(meanings) == len(set(meanings)), section.name


def test_decay_is_said_where_it_acts() -> None:
    for name in OPTIMIZERS:
        meaning = parameters_of(OPTIMIZERS[name])["weight_decay"]
        assert ("decoupled" in meaning) == OPTIMIZERS[name].decoupled, name


def test_the_default_learning_rate_is_told() -> None:
    for section in EVERYTHING:
        if section.name.startswith("optimizer="):
            name = section.name.partition("=")[2]
            rate = OPTIMIZERS[name].default_learning_rate
            assert section.what.endswith(f" Default learning rate: {rate}.")
            assert f"{name} {rate}" in setting("a run", "learning_rate").meaning


def test_what_presets_set_is_told() -> None:
    meaning = setting("transform: scale", "augment.transforms.N.factor").meaning
    assert meaning.endswith("Presets of ``augment``: 1.15 in affine, elastic; 1.2 in strong.")
    same = setting("transform: elastic", "augment.transforms.N.smoothness").meaning
    assert "Presets" not in same  # they set the default


def test_a_dataclass_without_words_is_found() -> None:
    @dataclasses.dataclass
    class Silent:
        """Says nothing of its field."""

        field: int = 0

    assert documented(Silent) == {}


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (LAYERS, "layers"),
        (LOSSES, "losses"),
        (METRICS, "metrics"),
        (INITIALIZERS, "initializers"),
        (OPTIMIZERS, "optimizers"),
        (SCHEDULES, "schedules"),
    ],
)
def test_every_row_names_its_reference(table: object, kind: str) -> None:
    """But for layers that only arrange numbers."""
    plain = {"flatten", "pad", "crop", "reshape"}
    rows = [name for name in table if name not in plain]  # type: ignore[attr-defined]
    silent = [n for n in rows if "References\n" not in (table[n].__doc__ or "")]  # type: ignore[index]
    own = [n for n in silent if table[n].__module__.startswith("cnnexp.")]  # type: ignore[index]
    assert not own, f"{kind} without a paper or another reference"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("learning_rate", "default: null"),
        ("optimizer.momentum", "optimizer.momentum  (optimizer=sgd)"),
        ("model.layers.3.rate", "(type: dropout)"),
        ("schedule=step", "schedule=step: The learning rate is multiplied by fall"),
        ("conv", "type: conv: A convolution"),
        ("relu", "It has no options."),
        ("compare", "usage: cnnexp compare"),
        ("test_error", "results.test_error  (field of run.json)"),
        ("layers.csv", "cache_bytes  (column of layers.csv)"),
        ("rotate", "augment.transforms.N.degrees"),
        ("callbacks.0.value", "callbacks.N.value  (callback: stop_at)"),
        ("early_stopping.patience", "a whole number or null; at least 1"),
        ("augment=elastic", "  - {type: elastic, pixels: 1, smoothness: 4}"),
        ("mixup", "augment=mixup: Every sample"),
        ("model=lenet5", "  - {type: dense, units: 84, activation: relu}"),
        ("experiments=seeds", "seed: 0,1,2,3,4,5,6,7,8,9"),
        ("impl=fast", "  sets\n    name: fast"),
        ("augment.transforms.0.type", "takes a text; shift, rotate,"),
        ("model.layers.3.type", "takes a text; relu,"),
        ("trackers.0.type", "trackers.N.type  (trackers)"),
        ("sweep.objective", "takes a text or null; validation_loss, validation_error"),
        ("CNNEXP_IMPL", "default: compiled where it is installed, else fast"),
    ],
)
@pytest.mark.few(5)
def test_help_for_a_key(words: str, expected: str) -> None:
    assert expected in succeed("help", words)


@pytest.mark.parametrize("key", ["early_stopping", "checkpoint", "sweep"])
@pytest.mark.few(1)
def test_help_for_a_section_shows_it_once(key: str) -> None:
    head, *lines = succeed("help", key).splitlines()
    assert head.startswith(f"{key}: ")
    entries = [line for line in lines if line and not line.startswith(" ")]
    assert entries and all(entry.startswith(f"{key}.") for entry in entries)


def test_every_environment_variable_is_described() -> None:
    source = Path(__file__).parents[2] / "cnnexp"
    text = "\n".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    names = [variable.name for variable in VARIABLES]
    assert set(re.findall(r"\bCNNEXP_[A-Z_]+", text)) == {*names}
    assert all(name in succeed("list", "variables") for name in names)
    assert "Did you mean 'CNNEXP_IMPL'?" in cnnexp("help", "CNNEXP_IMPLS").err


def test_help_for_a_mistyped_key() -> None:
    ended = cnnexp("help", "lerning_rate")
    assert ended.code == 2
    assert "nothing is named 'lerning_rate'. Did you mean 'learning_rate'?" in ended.err
    assert find("lerning_rate") == []


def test_help_for_an_option_beside_its_choice_is_of_that_choice_alone() -> None:
    shown = succeed("help", "optimizer=lion", "optimizer.beta1")
    assert shown.startswith("optimizer.beta1  (optimizer=lion)\n  Weight of the running mean")
    assert shown.count("optimizer.") == 1
    both = succeed("help", "optimizer=lion", "optimizer.beta1", "optimizer=adam")
    assert both.count("optimizer.beta1  (") == 2
    # What the choice does not have is told of the others, and of the choice everything.
    other = succeed("help", "optimizer=lion", "optimizer.momentum")
    assert "optimizer=lion: Steps" in other and "optimizer.momentum  (optimizer=sgd)" in other


def test_help_for_a_mistyped_preset() -> None:
    assert "Did you mean 'model=lenet5'?" in cnnexp("help", "model=lenet").err


def test_a_study_named_as_a_setting_does_not_stand_beside_it() -> None:
    assert "experiments=" not in succeed("help", "batch_size")
    assert succeed("help", "experiments=batch_size").startswith("experiments=batch_size: ")


def test_help_for_a_preset_of_ones_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf" / "model" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package model\n# Mine.\nname: mine\nlayers: []\n")
    assert succeed("help", "model=mine") == (
        "model=mine: Mine.\n  sets\n    name: mine\n    layers: []\n"
    )


def test_help_for_a_layer_of_ones_own(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    Path("my_helped.py").write_text(
        "from dataclasses import dataclass\nfrom cnnexp import LAYERS, Layer\n\n\n"
        '@LAYERS.register("helped")\n@dataclass\nclass Helped(Layer):\n'
        '    """Helps.\n\n    Parameters\n    ----------\n    much : float\n'
        '        How much.\n    """\n'
        "    much: float = 2.5\n"
    )
    shown = succeed("help", "plugins=[my_helped]", "helped")
    assert shown.startswith("type: helped: Helps.")
    assert "How much.\n  takes a number\n  default: 2.5" in shown


if __name__ == "__main__":
    reference.write()
