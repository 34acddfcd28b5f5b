"""A test over many cases names each that fails."""

import pytest

from tests.cases import in_one_test


def test_every_case_that_fails_is_named():
    seen = []

    @in_one_test(("a", "b"), [(1, 1), pytest.param(2, 3, id="two and three"), (4, 5), (6, 6)])
    def check(a, b, fixture):
        seen.append((a, b, fixture))
        assert a == b, f"\n{a} is another number"

    with pytest.raises(AssertionError) as raised:
        check(fixture="x")
    assert seen == [(1, 1, "x"), (2, 3, "x"), (4, 5, "x"), (6, 6, "x")]
    first, *others = str(raised.value).splitlines()
    assert first == "2 of 4 cases fail:"
    assert others[0].startswith("  two and three: AssertionError: 2 is another number")
    assert others[1].startswith("  4 5: AssertionError: 4 is another number")
    assert isinstance(raised.value.__cause__, AssertionError)


def test_an_error_that_is_not_raised_is_a_failure_of_its_case():
    @in_one_test("number", [1, 0])
    def check(number):
        with pytest.raises(ZeroDivisionError):
            1 / number

    with pytest.raises(AssertionError, match=r"1 of 2 cases fail:\n  1: Failed: DID NOT RAISE"):
        check()


def test_of_many_failures_all_names_are_shown():
    @in_one_test("number", range(14))
    def check(number):
        raise ValueError("no" if number else "")

    with pytest.raises(AssertionError) as raised:
        check()
    lines = str(raised.value).splitlines()
    assert (len(lines), lines[1], lines[2]) == (12, "  0: ValueError: ", "  1: ValueError: no")
    assert lines[-1] == "  and 10, 11, 12, 13"


@in_one_test("number", [1, 2])
@pytest.mark.parametrize("other", [1, 2])
def test_other_parameters_and_fixtures_stay(number, other, tmp_path):
    (tmp_path / str(number)).write_text(str(other))  # a folder for all cases
    assert len(list(tmp_path.iterdir())) == number
