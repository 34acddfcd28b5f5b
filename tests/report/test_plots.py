from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from cnnexp import load_runs
from cnnexp.errors import OptionError
from cnnexp.report import plots, table
from cnnexp.report.drawing import draw_curves, finish_curves, spread
from cnnexp.report.histories import chance_error
from cnnexp.report.lines import GREY, Line, lines_of
from cnnexp.report.plots import picture_of, save_plot, svg_of
from tests.conftest import make_run


def comparison_of(folder: Path, *runs: dict[str, Any]) -> table.Comparison:
    """Return runs with these settings and made-up logs."""
    rows = []
    for k, settings in enumerate(runs):
        run = folder / str(k)
        run.mkdir()
        errors = [0.9 / (epoch + k / 10) for epoch in (1, 2, 3)]
        lines = [f"{e + 1},{error},{2 * error},{0.5 + k / 100}\n" for e, error in enumerate(errors)]
        (run / "epochs.csv").write_text("epoch,test_error,test_loss,seconds\n" + "".join(lines))
        rows.append(
            {
                "run": str(run),
                "status": "finished",
                "model": "cnn",
                **settings,
                "seconds_per_epoch": 0.5 + k / 100,
                "test_error": errors[-1],
            }
        )
    return table.Comparison(pd.DataFrame(rows))


def drawn(comparison: table.Comparison, panel: int, **options: Any) -> Any:
    """Return the axes of one panel, drawn."""
    picture = picture_of(comparison, **options)
    with plots.style():
        figure = plots._figure([picture.panels[panel]], "")
        figure.draw_without_rendering()
    return figure.subfigs[0].axes[0]


def names_in(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_few_runs_have_a_line_each_with_their_name_and_a_look_of_its_own(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, *({"learning_rate": 10.0**-k} for k in range(7)))
    axes = drawn(comparison, 0)
    assert sorted(names_in(axes)) == sorted(f"learning_rate={10.0**-k:g}" for k in range(7))
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(looks) == 7
    assert len({line.get_color() for line in axes.lines}) == 7
    assert len({line.get_marker() for line in axes.lines}) == 7


def test_curves_are_those_of_the_logs(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, {"seed": 0}, {"seed": 1})
    for panel, x in ((0, [1, 2, 3]), (1, [0.51, 1.02, 1.53])):
        line = drawn(comparison, panel).lines[1]
        assert list(line.get_xdata()) == pytest.approx(x)
        assert list(line.get_ydata()) == pytest.approx([0.9 / 1.1, 0.9 / 2.1, 0.9 / 3.1])
    assert list(drawn(comparison, 2).lines[0].get_ydata()) == pytest.approx([1.8, 0.9, 0.6])


def test_runs_that_differ_in_much_go_by_their_folders(tmp_path: Path) -> None:
    settings = [{"learning_rate": k, "batch_size": k, "seed": k} for k in (1, 2)]
    comparison = comparison_of(tmp_path, *settings)
    assert [line.label for line in lines_of(comparison)] == ["0", "1"]


def test_very_long_names_are_cut(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, {"note": "x" * 200}, {"note": "y" * 200})
    for panel in range(4):
        axes = drawn(comparison, panel, keys=["note"])
        names = names_in(axes) + [label.get_text() for label in axes.get_yticklabels()]
        assert max(map(len, names)) <= 40


def test_axes_have_names_with_units(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, {"seed": 0}, {"seed": 1})
    named = [
        (axes.get_xlabel(), axes.get_ylabel()) for axes in (drawn(comparison, k) for k in range(4))
    ]
    assert named == [
        ("epoch", "wrongly classified samples\n(lower is better)"),
        ("time of training (seconds)", "wrongly classified samples\n(lower is better)"),
        ("epoch", "loss, mean of all samples\n(lower is better)"),
        ("seconds of training per epoch (lower is better)", ""),
    ]


def test_the_error_of_guessing_is_marked_where_curves_come_near_it(tmp_path: Path) -> None:
    assert chance_error([make_run(tmp_path / "run")]) == pytest.approx(0.9)  # ten digits
    assert chance_error([tmp_path / "none"]) is None and chance_error([]) is None
    comparison = comparison_of(tmp_path, {"seed": 0}, {"seed": 1})
    lines = lines_of(comparison)
    for chance, marked in ((0.75, True), (0.999, True), (None, False)):
        axes = Figure().subplots()
        draw_curves(axes, lines, "epoch", "test_error", None, chance)
        words = [text for text in names_in(axes) if text.startswith("chance")]
        assert words == ([f"chance: {100 * chance:g} %"] if marked else [])
        assert not marked or axes.get_ylim()[1] > chance
    axes = Figure().subplots()
    axes.plot([1, 2], [0.05, 0.04])  # far below: the line would press the curve flat
    finish_curves(axes, [], "epoch", "error", None, 0.9)
    assert axes.get_ylim()[1] < 0.06 and "chance: 90 %" in axes.get_ylabel()


def test_thirty_runs_become_means_by_the_setting_that_divides_them(tmp_path: Path) -> None:
    settings = [{"learning_rate": 0.1 * (k % 3), "seed": k // 3} for k in range(30)]
    comparison = comparison_of(tmp_path, *settings)
    lines = lines_of(comparison)
    assert [len(line.histories) for line in lines] == [10, 10, 10]
    axes = drawn(comparison, 0)
    assert len(names_in(axes)) == 3 and len(axes.lines) == len(axes.collections) == 3
    xs, low, high = lines[0].band("epoch", "test_error")
    assert xs == [1, 2, 3]
    assert low[1] == pytest.approx(0.9 / (2 + 27 / 10)) and high[1] == pytest.approx(0.9 / 2)
    first_epoch = np.mean([0.9 / (1 + k / 10) for k in range(0, 30, 3)])
    assert lines[0].curve("epoch", "test_error")[1][0] == pytest.approx(first_epoch)
    assert "means" in picture_of(comparison).note


def test_many_runs_that_nothing_divides_name_the_best_three(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, *({"seed": k} for k in range(30)))
    lines = lines_of(comparison)
    assert [line.label for line in lines if line.style is not GREY] == [
        "seed=27",
        "seed=28",
        "seed=29",  # made-up errors fall with the number
    ]
    assert sorted(names_in(drawn(comparison, 0))) == ["seed=27", "seed=28", "seed=29"]
    assert "the other 27 grey" in picture_of(comparison).note
    assert len(drawn(comparison, 3).patches) == 24  # bars: the fastest and the slowest


def test_seeds_do_not_divide_runs_unless_asked_to(tmp_path: Path) -> None:
    settings = [{"learning_rate": k // 2, "seed": k % 2} for k in range(16)]
    comparison = comparison_of(tmp_path, *settings)
    assert len(lines_of(comparison)) == 16
    assert len(lines_of(comparison, ["seed"])) == 2


def test_runs_are_joined_by_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    settings = [{"learning_rate": 0.1 * (k % 2), "seed": k // 2} for k in range(4)]
    lines = lines_of(comparison_of(tmp_path, *settings), ["seed"])
    assert [(line.label, len(line.histories)) for line in lines] == [("seed=0", 2), ("seed=1", 2)]
    assert lines[0].mean_seconds == pytest.approx(0.505)


def test_a_mean_goes_as_far_as_half_of_its_runs() -> None:
    long, short = [{"epoch": [1.0, 2.0, 3.0][:n], "y": [0.3, 0.2, 0.1][:n]} for n in (3, 1)]
    assert Line("", [long, short, short], [], GREY).curve("epoch", "y") == ([1.0], [0.3])
    assert Line("", [long, short], [], GREY).curve("epoch", "y")[0] == [1.0, 2.0, 3.0]


def test_a_curve_ends_before_its_first_figure_that_is_not_finite() -> None:
    history = {"epoch": [1.0, 2.0, 3.0], "y": [0.5, math.inf, 0.1]}
    assert Line("", [history], [], GREY).curve("epoch", "y") == ([1.0], [0.5])


@pytest.mark.long
def test_one_run_shows_training_and_test(finished: list[Path]) -> None:
    comparison = table.Comparison(table.read(finished[:1]))
    axes = drawn(comparison, 0)
    assert [name.partition(":")[0] for name in sorted(names_in(axes))] == [
        "chance",
        "test",
        "train",
    ]
    bars = drawn(comparison, 3)
    assert [label.get_text() for label in bars.get_yticklabels()] == ["training", "evaluation"]
    assert bars.patches[0].get_width() == pytest.approx(comparison.frame["seconds"][0])


def test_a_target_is_marked_where_it_belongs(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, {"seed": 0}, {"seed": 1})
    assert "target 5 %" in names_in(drawn(comparison, 0, target=("test_error", 0.05)))
    assert "target 0.5" in names_in(drawn(comparison, 2, target=("test_loss", 0.5)))
    assert "target 0.5" not in names_in(drawn(comparison, 0, target=("test_loss", 0.5)))


def test_very_different_times_get_a_logarithmic_axis(tmp_path: Path) -> None:
    comparison = comparison_of(tmp_path, {"impl": "naive"}, {"impl": "sg"})
    slow = tmp_path / "0" / "epochs.csv"
    slow.write_text(slow.read_text().replace("0.5\n", "500\n"))
    axes = drawn(comparison, 1)
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "time of training (minutes, logarithmic)"


def test_runs_without_logs_are_drawn_as_nothing_with_a_word(tmp_path: Path, study: Path) -> None:
    damaged = table.Comparison(table.read([study / "7"]))
    for panel in range(4):
        assert names_in(drawn(damaged, panel))[0].startswith("no epoch has been")
    save_plot(tmp_path / "a.png", picture_of(damaged), "nothing")


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
@pytest.mark.few(1)
def test_pictures_are_written_in_the_format_of_their_ending(
    tmp_path: Path, study: Path, ending: str
) -> None:
    path = tmp_path / f"curves.{ending}"
    save_plot(
        path, picture_of(table.Comparison(table.read([study]))), "a title with $dollars$ in it"
    )
    start = path.read_bytes()[:60]
    assert {"png": b"PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending] in start
    if ending == "png":
        assert np.asarray(Image.open(path).convert("L")).std() > 10  # something is drawn


def test_another_ending_is_refused() -> None:
    with pytest.raises(OptionError, match=r"must end in .png, .svg or .pdf"):
        plots.check_ending(Path("curves.bmp"))


def test_the_settings_of_the_user_are_left_as_they_were(study: Path) -> None:
    panel = picture_of(table.Comparison(table.read([study]))).panels[0]
    with matplotlib.rc_context({"font.size": 33.0}):
        first = svg_of(panel)
        assert matplotlib.rcParams["font.size"] == 33.0
    assert svg_of(panel) == first  # drawn alike whatever they are


@given(st.lists(st.floats(0, 1), max_size=8))
def test_names_are_spread_apart_in_their_order(places: list[float]) -> None:
    moved = spread(places, 0.1)
    for a in range(len(places)):
        for b in range(len(places)):
            if places[a] < places[b]:
                assert moved[b] - moved[a] > 0.0999
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)


def test_names_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]


@pytest.mark.long
def test_runs_that_are_tested_at_their_end_are_drawn_by_their_validation_part(tmp_path):
    for k in range(2):
        words = (f"seed={k}", "data.validation=10", "evaluate=at_end")
        make_run(tmp_path / str(k), *words)
    picture = picture_of(table.Comparison(load_runs(tmp_path)))
    titles = [panel.title for panel in picture.panels]
    assert titles[0] == "Error on the validation set, epoch by epoch"
