"""The page in a real browser: what it computes, and everything that a reader can do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnexp.app.locations import config_root
from tests.report.live.browser import draw, opened, outputs, write
from tests.report.live.networks import engine_gradients

pytestmark = pytest.mark.long

NO_CLASSES = {"autoencoder", "regression"}
PRESETS = sorted(
    path.stem
    for path in (config_root() / "conf" / "model").glob("*.yaml")
    if path.stem not in NO_CLASSES
)


@pytest.mark.parametrize("model", PRESETS)
def test_every_preset_gives_what_predict_gives(tmp_path: Path, model: str, images: Path) -> None:
    run, path = write(
        tmp_path,
        f"model={model}",
        "data=npz",
        f"data.file={images}",
        "data.limit=300",
        "epochs=1",
        "learning_rate=0.01",
    )
    X = np.asarray(run.dataset.test.X[:200])
    with opened(path) as page:
        found = outputs(page, X)
    np.testing.assert_allclose(found, run.network.predict(X), atol=1e-4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, blown up to 28x28 pixels: every preset takes them."""
    from sklearn.datasets import load_digits

    small = load_digits()
    X = np.pad(small.images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    path = tmp_path_factory.mktemp("images") / "digits.npz"
    np.savez(path, X=(X * 15).astype(np.uint8), Y=small.target)
    return path


def test_gradients_on_the_page_are_those_of_the_engine(drawn: tuple[Any, Path]) -> None:
    run, path = drawn
    X = np.asarray(run.dataset.test.X[:100])
    script = """([values, y]) => {
      const {store} = cnnexp;
      store.setImage({shape: store.payload.shape, data: Float32Array.from(values)});
      const {value, gradients} = lossGradients(store.layers, store.payload.loss, store.pass, y);
      const dW = gradients.params.get("conv1.W").data;
      return [value, Array.from(gradients.image.data), Array.from(dW)];
    }"""
    exposed = path.with_name("exposed.html")
    end = "window).cnnexp = { store, images }"
    text = path.read_text()
    assert end in text
    exposed.write_text(text.replace(end, f"{end}; window.lossGradients = lossGradients"))
    with opened(exposed) as page:
        for k, image in enumerate(X):
            y = k % 10
            loss, dX, dW = page.evaluate(script, [image.reshape(-1).tolist(), y])
            value, expected, grads = engine_gradients(run.network, image, y)
            assert loss == pytest.approx(value, rel=1e-3, abs=1e-5)
            for one, other in ((dX, expected), (dW, grads["conv1.W"])):
                # float32 takes a probability near 1 from 1
                scale = max(float(abs(other).max()), 1e-6)
                np.testing.assert_allclose(one, other.reshape(-1), atol=1e-3 * scale + 2e-6)


def probabilities(page: Any) -> list[float]:
    return page.evaluate("Array.from(cnnexp.store.pass.output.data)")  # type: ignore[no-any-return]


def pixels(page: Any, selector: str) -> str:
    """Return what is drawn on a canvas."""
    page.wait_for_timeout(100)
    return page.evaluate(  # type: ignore[no-any-return]
        "(s) => document.querySelector(s).toDataURL()", selector
    )


def test_drawing_and_choosing_change_outputs_and_maps(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1]) as page:
        before, maps = probabilities(page), pixels(page, "[data-path=conv1] canvas")
        draw(page, (0.3, 0.2), (0.7, 0.2), (0.45, 0.8))
        drawing = probabilities(page)
        assert drawing != before and pixels(page, "[data-path=conv1] canvas") != maps
        draw(page, (0.3, 0.5), (0.6, 0.5))
        assert probabilities(page) != drawing
        page.click("#clear")
        assert page.evaluate("cnnexp.store.image.data.every((value) => value === 0)")
        page.locator("#wrong button").first.click()
        fact = page.evaluate(
            "cnnexp.store.payload.images.facts.at(-cnnexp.store.payload.images.mistakes)"
        )
        assert max(probabilities(page)) == pytest.approx(fact["probability"], abs=1e-5)
        assert "wrong, it is" in page.inner_text("#verdict")
        page.locator("#right button").first.click()
        assert "right" in page.inner_text("#verdict")


def test_a_finger_draws(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1], has_touch=True, viewport={"width": 390, "height": 844}) as page:
        page.evaluate(
            """() => { const pad = document.getElementById("pad");
            const box = pad.getBoundingClientRect();
            pad.setPointerCapture = () => {};
            for (const [type, x] of [["pointerdown", .3], ["pointermove", .7], ["pointerup", .7]])
              pad.dispatchEvent(new PointerEvent(type, {pointerType: "touch", pointerId: 1,
                clientX: box.left + x * box.width, clientY: box.top + .5 * box.height})); }"""
        )
        assert page.evaluate("cnnexp.store.image.data.some((value) => value > 0.9)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_value_is_explained_and_followed_back_to_the_pixels(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1], viewport={"width": 1300, "height": 1000}) as page:
        canvas = page.locator("[data-path=conv1] canvas").first
        canvas.hover(position={"x": 30, "y": 30})
        page.wait_for_selector("#trace:not(.empty) .grid")
        words = page.inner_text("#trace-body")
        for word in ("window", "filter", "products", "sum of 9 products", "bias", "then relu1"):
            assert word in words
        assert page.locator("#trace .grid").count() == 3
        assert page.locator(".mark.from").count() == 1
        page.mouse.move(5, 5)
        page.wait_for_selector("#trace.empty")
        page.locator(".class").nth(3).click()
        place = page.evaluate("cnnexp.store.selected")
        assert place == {"path": "softmax1", "at": 3}
        for _ in range(8):
            if page.evaluate("cnnexp.store.selected.path") == "input":
                break
            page.locator("#trace-body > button.quiet").click()
            page.wait_for_timeout(60)
        assert page.evaluate("cnnexp.store.selected.path") == "input"
        assert "pixel" in page.inner_text("#trail")
        page.click("#trace-back")
        assert page.evaluate("cnnexp.store.selected.path") == "conv1"
        page.click("#trace-close")
        assert page.evaluate("cnnexp.store.trail.length") == 0


def test_everything_works_with_the_keyboard(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1], viewport={"width": 1300, "height": 1000}) as page:
        page.focus("[data-path=conv1]")
        page.keyboard.press("ArrowRight")
        first = page.evaluate("cnnexp.store.selected")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("PageDown")
        second = page.evaluate("cnnexp.store.selected")
        assert first["path"] == second["path"] == "conv1" and first["at"] != second["at"]
        assert "conv1, feature map 1" in page.inner_text("#spoken")
        page.keyboard.press("Enter")
        assert page.evaluate("cnnexp.store.selected.path") == "input"
        page.keyboard.press("Backspace")
        assert page.evaluate("cnnexp.store.selected") == second
        page.keyboard.press("Escape")
        assert page.evaluate("cnnexp.store.trail.length") == 0
        page.focus("#tab-layers")
        page.keyboard.press("ArrowRight")
        assert page.is_visible("#panel-matters") and not page.is_visible("#panel-layers")
        page.focus("#pad")
        page.keyboard.press(" ")
        for _ in range(8):
            page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")
        assert page.evaluate("cnnexp.store.image.data.some((value) => value > 0.9)")


def test_everything_has_a_name_for_screen_readers(drawn: tuple[Any, Path]) -> None:
    unnamed = """() => [...document.querySelectorAll("button, input, select, [tabindex='0'], svg")]
      .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()
        || one.closest("label")?.textContent.trim())).map((one) => one.outerHTML)"""
    with opened(drawn[1]) as page:
        assert page.evaluate(unnamed) == []


def test_saliency_occlusion_and_gradients_per_layer(drawn: tuple[Any, Path]) -> None:
    run, path = drawn
    with opened(path) as page:
        page.click("#tab-matters")
        seven = pixels(page, "#saliency")
        page.select_option("#class-of", "2")
        assert pixels(page, "#saliency") != seven
        image = np.array(page.evaluate("Array.from(cnnexp.store.image.data)"), np.float32)
        image = image.reshape(run.network.input_shape)
        score = page.inner_text("#norms")
        assert page.locator("#norms th").all_inner_texts() == [
            f"{layer}.{name}" for layer in ("conv1", "dense1", "dense2") for name in "Wb"
        ]
        page.check("#of-loss")
        assert page.inner_text("#norms") != score
        loss, _, grads = engine_gradients(run.network, image, 2)
        assert f"{loss:.3f}" in page.inner_text("#gradient-of") or loss > 10
        shown = float(page.locator("#norms tr").first.locator(".number").inner_text())
        assert shown == pytest.approx(np.linalg.norm(grads["conv1.W"]), rel=0.02, abs=2e-3)
        page.click("#occlude")
        page.wait_for_selector("#occlusion[data-done]", timeout=60_000)
        assert page.locator("#occluded.old").count() == 0
        page.click("#tab-layers")
        values = pixels(page, "[data-path=conv1] canvas")
        page.check("#show-gradients")
        assert pixels(page, "[data-path=conv1] canvas") != values


def test_the_gradient_of_a_value_is_read_in_the_panel(drawn: tuple[Any, Path]) -> None:
    run, path = drawn
    with opened(path, viewport={"width": 1300, "height": 1000}) as page:
        image = np.array(page.evaluate("Array.from(cnnexp.store.image.data)"), np.float32)
        _, expected, _ = engine_gradients(run.network, image.reshape(run.network.input_shape), 2)
        page.locator(".class").nth(2).click()
        label = page.locator("article", has=page.locator("[data-path=input]")).locator("h3")
        assert "what the network gets" in label.inner_text()
        page.select_option("#gradients-of", "loss")
        assert page.is_checked("#show-gradients")
        assert "gradient of the loss if the class were 2 for each pixel" in label.inner_text()
        assert "no gradients" in page.inner_text("article:has([data-path=softmax1]) h3")
        assert "No gradient here" in page.inner_text("#trace-body")
        at = int(abs(expected).argmax())
        page.evaluate("(at) => cnnexp.store.select({path: 'input', at})", at)
        page.wait_for_selector("#trace-body .gradient strong")
        found = page.inner_text("#trace-body .gradient strong").replace("−", "-")
        assert float(found) == pytest.approx(expected.reshape(-1)[at], rel=0.02, abs=1e-3)
        way = "rise" if expected.reshape(-1)[at] > 0 else "fall"
        assert f"the loss if the class were 2 would {way} by" in page.inner_text("#trace-body")
        page.locator("[data-path=conv1] canvas").first.click(position={"x": 30, "y": 30})
        page.wait_for_selector("#trace-body .grid")
        check_backward_grid(page)
        page.uncheck("#show-gradients")
        page.wait_for_selector("#trace-body .gradient", state="detached")
        assert page.locator("#trace-body .grid").count() == 3
        assert "what the network gets" in label.inner_text()


def check_backward_grid(page: Any) -> None:
    """The last grid is the filter times the gradient of the value."""
    gradient = page.evaluate(
        """() => { const {store} = cnnexp; const {path, at} = store.selected;
        return store.gradients.results.get(path).data[at]; }"""
    )

    def numbers(k: int) -> Any:
        cells = page.locator("#trace-body .grid").nth(k).locator("button")
        titles = cells.evaluate_all("(all) => all.map((one) => one.title)")
        return np.array([float(title.replace("−", "-")) for title in titles])

    assert page.locator("#trace-body .grid").count() == 4
    np.testing.assert_allclose(numbers(3), gradient * numbers(1), atol=2e-3)


def test_red_is_above_zero_and_blue_below(drawn: tuple[Any, Path]) -> None:
    colors = """() => ["positive", "negative"].map((name) =>
      getComputedStyle(document.querySelector(`.scale .${name}`)).backgroundColor)"""
    drawn_pixels = """() => { const {store} = cnnexp;
      const canvas = document.querySelector("[data-path=conv1] canvas");
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const maps = store.layer("conv1").output[2], values = store.pass.outputs.get("conv1").data;
      return Array.from({length: data.length / 4}, (_, k) =>
        [values[k * maps], data[4 * k], data[4 * k + 2]]); }"""
    for scheme in ("light", "dark"):
        with opened(drawn[1], color_scheme=scheme) as page:
            for color, is_red in zip(page.evaluate(colors), (True, False), strict=True):
                red, _, blue = (int(part) for part in color[4:-1].split(","))
                assert (red > blue) is is_red
            seen = np.array(page.evaluate(drawn_pixels))
            large = seen[abs(seen[:, 0]) > 0.3 * abs(seen[:, 0]).max()]
            assert len(large)
            assert ((large[:, 0] > 0) == (large[:, 1] > large[:, 2])).all()


def test_enter_shows_where_it_led_while_the_pointer_rests(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1], viewport={"width": 1300, "height": 1000}) as page:
        page.locator("[data-path=conv1] canvas").first.click(position={"x": 30, "y": 30})
        page.keyboard.press("Enter")
        page.wait_for_timeout(60)
        assert page.evaluate("cnnexp.store.selected.path") == "input"
        assert page.inner_text("#trace-body .place").startswith("image, channel 0, row ")
        assert "This is a pixel" in page.inner_text("#trace-body")


def test_the_patch_is_in_proportion_to_the_image(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1]) as page:
        assert page.input_value("#patch") == "2"  # of 8 pixels


def test_the_slider_moves_through_training(drawn: tuple[Any, Path]) -> None:
    run, path = drawn
    with opened(path) as page:
        last, filters = probabilities(page), pixels(page, ".filters canvas")
        assert "After epoch 4 of 4" in page.locator("#epoch").get_attribute("aria-valuetext")
        page.focus("#epoch")
        page.keyboard.press("Home")
        assert "Before training" in page.inner_text("#epoch-words")
        assert probabilities(page) != last and pixels(page, ".filters canvas") != filters
        page.keyboard.press("ArrowRight")
        error = run.epochs["test_error"][0]
        words = page.inner_text("#epoch-words")
        assert "After epoch 1 of 4" in words and f"test error {100 * error:.2f} %" in words
        page.click("#play")
        page.locator("#play", has_text="Play").wait_for(timeout=9000)
        assert "After epoch 4" in page.inner_text("#epoch-words")
        page.click("#final")
        assert probabilities(page) == last


def test_stride_groups_step_by_step(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1]) as page:
        page.click("#tab-groups")
        for field, value in (
            ("rows", 5),
            ("cols", 4),
            ("filter", 2),
            ("stride", 1),
            ("filters", 2),
        ):
            page.fill(f"#g-{field}", str(value))

        def counts(method: str) -> list[str]:
            texts = page.locator(f"[data-method={method}] .count").all_inner_texts()
            return texts[:2]  # type: ignore[no-any-return]

        assert counts("loops") == ["0 of 24 Python iterations", "0 matrix products"]
        shifted = ["0 of 4 Python iterations", "0 of 4 matrix products"]
        assert counts("shifted") == shifted
        copied = "0 Python iterations: one call of NumPy copies all windows"
        assert counts("im2col") == [copied, "0 of 1 matrix product"]
        assert counts("groups") == ["0 of 4 Python iterations", "0 of 4 matrix products"]
        for _ in range(4):
            page.click("#g-step")
        assert counts("groups")[0] == "4 of 4 Python iterations"
        assert counts("loops")[0] == "4 of 24 Python iterations"
        boards = page.locator("[data-method=groups] .outputs .board")
        assert boards.count() == 2
        filled = [bool(text) for text in boards.first.locator("span").all_inner_texts()]
        assert filled == [True] * 12
        page.click("#g-back")
        assert counts("groups")[0] == "3 of 4 Python iterations"
        page.fill("#g-padding", "1")
        assert counts("groups")[0] == "0 of 4 Python iterations"
        page.fill("#g-filter", "5")
        page.fill("#g-padding", "0")
        assert "4 × 4 is the largest that does" in page.inner_text("#g-fault")
        assert page.locator("#g-methods .method").count() == 0 and page.is_disabled("#g-step")
        assert page.is_disabled("#g-play")
        page.fill("#g-filter", "9")
        words = "filter: 9 is not possible, whole numbers from 1 to 5 are."
        assert page.inner_text("#g-fault") == words
        page.fill("#g-stride", "")
        assert "stride: nothing is not possible" in page.inner_text("#g-fault")
        page.fill("#g-stride", "1")
        page.fill("#g-filter", "2")
        for field, value in (("samples", 2), ("filters", 2)):
            page.fill(f"#g-{field}", str(value))
        filters = page.locator("#g-shown .board")
        assert filters.count() == 2
        while page.is_enabled("#g-step"):
            page.click("#g-step")
        check_outputs(page, filters)
        page.click("#g-play")
        page.wait_for_timeout(600)
        page.click("#g-play")
        assert counts("groups")[0] != "0 of 4 Python iterations"


def test_the_example_of_stride_groups_is_that_of_the_docs(drawn: tuple[Any, Path]) -> None:
    with opened(drawn[1]) as page:
        page.click("#tab-groups")
        image = np.arange(1.0, 17).reshape(4, 4)
        product = page.locator("[data-method=groups] .product .board")
        outputs = page.locator("[data-method=groups] .outputs .board")
        partial = page.locator("[data-method=shifted] .outputs .board")
        np.testing.assert_array_equal(
            numbers_on(page.locator("#g-shown .board")), [1, 10, 100, 1000]
        )
        page.click("#g-step")
        cols = image.reshape(2, 2, 2, 2).transpose(1, 3, 0, 2).reshape(-1)
        np.testing.assert_array_equal(numbers_on(product.nth(1)), cols)
        np.testing.assert_array_equal(numbers_on(product.nth(2)), [6521, 8743, 15409, 17631])
        np.testing.assert_array_equal(numbers_on(partial), image[:3, :3].reshape(-1))
        page.click("#g-step")
        expected = image[:3, :3] + 10 * image[:3, 1:]
        np.testing.assert_array_equal(numbers_on(partial), expected.reshape(-1))
        for _ in range(2):
            page.click("#g-step")
        all_outputs = [6521, 7632, 8743, 10965, 12076, 13187, 15409, 16520, 17631]
        for board in (outputs, partial):
            np.testing.assert_array_equal(numbers_on(board), all_outputs)


def numbers_on(board: Any) -> Any:
    texts = board.locator("span").all_inner_texts()
    return np.array([float(text.replace("−", "-")) for text in texts])


def check_outputs(page: Any, filters: Any) -> None:
    """Outputs are those of the input and the filters shown, whole, and alike by all methods."""
    for method in ("loops", "shifted", "im2col", "groups"):
        block = page.locator(f"[data-method={method}]")
        images = block.locator(".boards").first.locator(".board")
        assert images.count() == 2
        for sample, f in np.ndindex(2, 2):
            image = numbers_on(images.nth(sample)).reshape(5, 4)
            windows = np.lib.stride_tricks.sliding_window_view(image, (2, 2))
            expected = np.tensordot(windows, numbers_on(filters.nth(f)).reshape(2, 2), 2)
            board = block.locator(".outputs .board").nth(2 * sample + f)
            np.testing.assert_array_equal(numbers_on(board), expected.reshape(-1))
    cut = """() => [...document.querySelectorAll("#g-methods .board span")]
      .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"""
    assert page.evaluate(cut) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(drawn: tuple[Any, Path], scheme: str) -> None:
    settings = {"viewport": {"width": 360, "height": 800}, "color_scheme": scheme}
    with opened(drawn[1], **settings) as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(22, 27, 33)" if scheme == "dark" else "rgb(255, 255, 255)")
        for tab in ("layers", "matters", "groups"):
            page.click(f"#tab-{tab}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_colour_images_are_chosen_and_not_drawn(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (80, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "colour.npz", X=X, Y=np.arange(80) % 3)
    file = f"data.file={tmp_path / 'colour.npz'}"
    run, path = write(tmp_path, "model=lenet5", "data=npz", file, "epochs=1")
    with opened(path) as page:
        assert "chosen below" in page.inner_text("#pen")
        assert page.is_visible("#pad") and not page.is_visible("#invitation")
        assert "· 1 epoch ·" in page.inner_text("#facts")
        assert not page.is_visible("#curves")  # one point is no curve
        shown = pixels(page, "#pad")
        page.locator(".gallery button").nth(1).click()
        assert pixels(page, "#pad") != shown
        X = np.asarray(run.dataset.test.X)
        np.testing.assert_allclose(outputs(page, X), run.network.predict(X), atol=1e-4)
