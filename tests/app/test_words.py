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
