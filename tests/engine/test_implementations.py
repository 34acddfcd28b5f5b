"""The table of implementations: operations of one's own, and those that nobody has."""

import pytest

from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.engine.operations import Implementation
from cnnexp.errors import OptionError


def test_an_operation_that_nobody_has_is_refused():
    lonely = Implementation("lonely", {})
    with pytest.raises(OptionError, match="impl=lonely has no operation 'conv'"):
        lonely.find("conv")
    child = Implementation("child", {}, base=IMPLEMENTATIONS["naive"])
    assert child.find("conv") == IMPLEMENTATIONS["naive"].find("conv")
    with pytest.raises(OptionError, match="has no operation 'fold'"):
        child.find("fold")


def test_an_operation_replaces_itself_and_no_other():
    naive = IMPLEMENTATIONS["naive"]
    conv, other = naive.find("conv")[0], naive.find("dense")[0]
    mine = Implementation("mine", {})
    mine.add("conv", conv)
    mine.add("conv", conv)
    with pytest.raises(OptionError, match="impl=mine has an operation 'conv' already"):
        mine.add("conv", other)
    assert mine.operations == {"conv": conv}
