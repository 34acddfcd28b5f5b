from __future__ import annotations

import pytest

from experiments import stride_groups_scaling as scaling


@pytest.mark.parametrize("case", [scaling.Case(), scaling.Case(image=9, width=4, stride=2)])
def test_iterations_of_the_groups_do_not_depend_on_the_image(case):
    larger = scaling.Case(image=2 * case.image, width=case.width, stride=case.stride)
    assert scaling.iterations("sg", case) == scaling.iterations("sg", larger)
    assert scaling.iterations("naive", case) < scaling.iterations("naive", larger)


def test_it_prints_a_row_for_each_case(capsys):
    assert scaling.main(["--quick"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("changed", "image", "filters", "width", "stride"),
        *("impl", "iterations", "seconds"),
    ]
    assert len(rows) == 2 * sum(map(len, scaling.QUICK.values()))
