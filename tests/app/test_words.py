"""What is typed twice, before Hydra sees it."""

import pytest

from cnnexp.app.compose.words import check_words
from cnnexp.errors import ConfigError


def test_a_value_that_is_given_twice_counts_as_it_came_last_and_a_line_says_so(capsys):
    check_words(["epochs=1", "seed=1", "epochs=2", "seed=1", "+model.layers[0].filters=2"])
    assert capsys.readouterr().err == (
        "warning: epochs is given twice; epochs=2 counts, and not epochs=1.\n"
    )


def test_a_group_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match=r"impl is given twice: impl=sg and impl=naive\."):
        check_words(["impl=sg", "impl=naive"])


@pytest.mark.parametrize("word", ["model.name=lenet5", "model.name=mine,lenet5"])
def test_a_preset_is_not_chosen_by_its_name_alone(word):
    with pytest.raises(ConfigError, match=r"write model=.*lenet5, which brings the options"):
        check_words([word])
    check_words(["model.name=mine"])
    check_words(["model=linear,flat", "model.name=linear"])  # a name on top of a choice


def test_a_space_after_a_comma_is_found():
    with pytest.raises(ConfigError) as refused:
        check_words(["learning_rate=0.1,", "0.2", "epochs=1"])
    assert [*refused.value.faults] == [
        "learning_rate=0.1, 0.2: write learning_rate=0.1,0.2, without a space after the comma."
    ]
