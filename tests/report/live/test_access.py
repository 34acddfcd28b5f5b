"""The page for every reader: keyboard, finger, narrow windows, contrast, and what is said aloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.live.browser import draw, opened

pytestmark = pytest.mark.long

Drawn = tuple[Any, Path]
WIDE = {"viewport": {"width": 1300, "height": 800}}
NARROW = {"viewport": {"width": 900, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = color.map((c) => c / 255 <= .04045 ? c / 255 / 12.92
      : ((c / 255 + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const below = (one) => {
    for (; one; one = one.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility()) continue;
    if (one.closest(":disabled, script, style, #invitation")) continue;
    const pair = [numbers(getComputedStyle(one).color).slice(0, 3), below(one)].map(light);
    const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    if (ratio < 4.5) found.push([one.className, one.textContent.slice(0, 30), ratio]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(drawn: Drawn, scheme: str) -> None:
    with opened(drawn[1], color_scheme=scheme, **WIDE) as page:
        for path in ("max_pool1", "conv1"):
            page.evaluate("(path) => cnnexp.store.select({path, at: 12})", path)
            page.wait_for_selector("#trace:not(.empty) .grid")
            assert page.evaluate(CONTRASTS) == []
        for tab in ("matters", "groups"):
            page.click(f"#tab-{tab}")
            if tab == "groups":
                page.click("#g-step")
            assert page.evaluate(CONTRASTS) == []


def test_the_tab_key_passes_test_images_in_one_step(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        page.focus("#right [tabindex='0']")
        first = page.evaluate("document.activeElement.title")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.title") != first
        page.keyboard.press("Enter")
        assert page.locator("#right button").nth(1).get_attribute("data-shown") is not None
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#right')") is None
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.matches('[data-shown]')")


def test_the_focus_follows_a_value_back_to_the_pixels(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        page.focus("[data-path=softmax1]")
        page.keyboard.press("ArrowRight")
        for _ in range(12):
            page.keyboard.press("Enter")
            page.wait_for_timeout(50)
            at = page.locator(".mark.here").bounding_box()
            assert at["y"] >= 0 and at["y"] + at["height"] <= 800
            path = page.evaluate("document.activeElement.dataset.path")
            if path == "input":
                break
        assert path == "input"
        page.keyboard.press("ArrowDown")
        assert page.evaluate("cnnexp.store.selected.path") == "input"


def test_enter_opens_filters_while_a_value_is_kept(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        page.locator(".class").nth(2).click()
        was_open = page.locator("details").first.get_attribute("open")
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.locator("details").first.get_attribute("open") != was_open
        assert page.evaluate("cnnexp.store.trail.length") == 1


def test_the_button_of_the_panel_keeps_the_focus(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        page.locator(".class").nth(2).click()
        page.locator("#trace-body > button.quiet").focus()
        for length in (2, 3):
            page.keyboard.press("Enter")
            page.wait_for_timeout(60)
            assert page.evaluate("cnnexp.store.trail.length") == length
            assert page.evaluate("document.activeElement.matches('#trace-body > button')")


def test_what_the_network_says_is_spoken_whatever_class_is_chosen(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        for k in range(10):
            page.evaluate("(k) => cnnexp.store.setClass(k)", k)
            draw(page, (0.5, 0.2), (0.5, 0.8))
            said = page.inner_text("#verdict strong")
            assert page.inner_text("#spoken") == f"The network says {said}."


def test_a_second_click_on_a_class_releases_it(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        other = page.locator(".class:not(.best)").first
        other.click()
        assert other.get_attribute("aria-pressed") == "true"
        other.click()
        assert other.get_attribute("aria-pressed") == "false"
        assert page.locator(".class.best").get_attribute("aria-pressed") == "true"
        assert page.evaluate("cnnexp.store.trail.length") == 0


def test_an_empty_pad_says_so_and_invites_to_draw(drawn: Drawn) -> None:
    with opened(drawn[1], **WIDE) as page:
        assert page.is_visible("#invitation")
        draw(page, (0.3, 0.2), (0.7, 0.8))
        assert not page.is_visible("#invitation")
        page.click("#clear")
        assert page.is_visible("#invitation")
        assert "for an empty image" in page.inner_text("#verdict")


def test_a_second_finger_and_the_right_button_do_not_draw(drawn: Drawn) -> None:
    send = """(events) => { const pad = document.getElementById("pad");
      const box = pad.getBoundingClientRect();
      pad.setPointerCapture = () => {};
      for (const [type, pointerId, x, button] of events)
        pad.dispatchEvent(new PointerEvent(type, {pointerId, button, pointerType: "touch",
          clientX: box.left + x * box.width, clientY: box.top + .5 * box.height})); }"""
    image = "Array.from(cnnexp.store.image.data)"
    with opened(drawn[1], **PHONE) as page:
        page.uncheck("#centred") if page.is_visible("#centred") else None
        page.click("#clear")
        page.evaluate(send, [["pointerdown", 1, 0.5, 2], ["pointermove", 1, 0.9, 2]])
        assert not any(page.evaluate(image))
        page.evaluate(send, [["pointerdown", 1, 0.2, 0], ["pointermove", 1, 0.4, 0]])
        one_finger = page.evaluate(image)
        page.evaluate(send, [["pointerdown", 2, 0.9, 0], ["pointermove", 2, 0.8, 0]])
        page.evaluate(send, [["pointerup", 2, 0.8, 0]])
        assert any(one_finger) and page.evaluate(image) == one_finger


def test_everything_to_tap_is_large_enough_for_a_finger(drawn: Drawn) -> None:
    small = """() => [...document.querySelectorAll("button, select, summary, input, label")]
      .filter((one) => one.checkVisibility() && !one.closest(".grid, .unseen"))
      .map((one) => one.closest("label") ?? one)
      .filter((one) => one.getBoundingClientRect().height < 43.5)
      .map((one) => [one.className, one.textContent])"""
    with opened(drawn[1], **PHONE) as page:
        page.locator("[data-path=conv1] canvas").first.tap()
        page.wait_for_selector("#trace:not(.empty)")
        for tab in ("layers", "matters", "groups"):
            page.evaluate("(id) => document.getElementById(id).click()", f"tab-{tab}")
            assert page.evaluate(small) == []


def test_in_a_narrow_window_nothing_moves_under_the_pointer(drawn: Drawn) -> None:
    with opened(drawn[1], **NARROW) as page:
        canvas = page.locator("[data-path=max_pool1] canvas").first
        canvas.scroll_into_view_if_needed()
        before = canvas.bounding_box()
        canvas.hover(position={"x": 10, "y": 10})
        page.wait_for_timeout(80)
        assert canvas.bounding_box() == before and not page.is_visible("#trace")
        canvas.click(position={"x": 10, "y": 10})
        page.wait_for_timeout(80)
        panel = page.locator("#trace").bounding_box()
        mark = page.locator(".mark.here").bounding_box()
        assert mark["y"] >= 0 and mark["y"] + mark["height"] <= panel["y"]


def test_marks_stay_on_their_value_when_the_window_changes(drawn: Drawn) -> None:
    offset = """() => { const [mark, map] = [".mark.here", "[data-path=conv1] .map:has(.here)"]
      .map((one) => document.querySelector(one).getBoundingClientRect());
      return [mark.x - map.x, mark.y - map.y]; }"""
    with opened(drawn[1], **WIDE) as page:
        page.locator("[data-path=conv1] canvas").first.click(position={"x": 30, "y": 30})
        before = page.evaluate(offset)
        for width in (320, 900, 1300):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(offset) == pytest.approx(before, abs=0.5)
            for tab in ("matters", "groups", "layers"):
                page.evaluate("(id) => document.getElementById(id).click()", f"tab-{tab}")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_less_motion_is_respected(drawn: Drawn) -> None:
    seconds = "getComputedStyle(document.querySelector('.bar')).transitionDuration"
    for wish, expected in (("reduce", "0s"), ("no-preference", "0.08s")):
        with opened(drawn[1], reduced_motion=wish) as page:
            assert page.evaluate(seconds) == expected


def test_the_speed_of_the_steps_is_chosen(drawn: Drawn) -> None:
    done = "[data-method=loops] .count"
    with opened(drawn[1], **WIDE) as page:
        page.click("#tab-groups")
        filter_ = page.locator("#g-shown .board").get_attribute("aria-label")
        assert filter_ == "filter, elements A B C D: 1 10; 100 1000;"
        page.evaluate(
            """() => { const set = window.setInterval; window.delays = [];
            window.setInterval = (call, delay) => { delays.push(delay); return set(call, delay); };
            }"""
        )
        page.click("#g-play")
        for speed in ("1500", "150"):
            page.select_option("#g-speed", speed)
        assert page.evaluate("delays") == [600, 1500, 150]
        page.locator("#g-play", has_text="Play").wait_for(timeout=9000)  # all 9 steps are done
        assert page.locator(done).first.inner_text() == "9 of 9 Python iterations"
        page.click("#g-reset")
        page.click("#g-end")
        assert page.locator(done).first.inner_text() == "9 of 9 Python iterations"
        assert page.is_disabled("#g-end") and page.is_enabled("#g-back")
        page.click("#g-play")
        page.click("#g-back")  # ends the play, too
        assert page.inner_text("#g-play") == "Play"
        workspaces = [
            page.locator(f"[data-method={method}] .count").nth(2).inner_text()
            for method in ("loops", "shifted", "im2col", "groups")
        ]
        assert workspaces == [f"workspace of a step: {n} numbers" for n in (4, 9, 36, 16)]
