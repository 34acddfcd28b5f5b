// A card for each layer, with its feature maps or their gradients, and its filters.

import { drawMap, limitOf } from "./colors.js";
import { byId, counted, element } from "./dom.js";
import { showFilters } from "./filters.js";
import { drawnPlace, isDrawn, layoutOf } from "./places.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Place} Place */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./places.js").Layout} Layout */
/**
 * @typedef {{path: string, layout: Layout, group: HTMLElement, canvases: HTMLCanvasElement[],
 *   about: HTMLElement, type: string, size: string}} Card */

/** @param {Layout} layout @returns {number} Pixels of the screen for each value. */
function scaleOf({ width, count }) {
  if (count === 1 && width > 1 && width <= 32) return width <= 12 ? 18 : 10;
  return Math.max(1, Math.round(56 / width));
}

/**
 * @param {string} path
 * @param {string} name
 * @param {string} type
 * @param {number[]} shape
 * @returns {{card: Card, block: HTMLElement}}
 */
function makeCard(path, name, type, shape) {
  const layout = layoutOf(shape);
  const scale = shape.length === 3 ? Math.max(1, Math.round(56 / layout.width)) : scaleOf(layout);
  const canvases = Array.from({ length: layout.count }, (_, map) => {
    const canvas = element("canvas", { "data-map": map, width: layout.width, height: layout.height });
    canvas.style.width = `${layout.width * scale}px`;
    return canvas;
  });
  const size = shape.join(" × ");
  const words = shape.length === 3 ? counted("feature map", shape[2]) : counted("value", layout.values);
  const group = element(
    "div",
    {
      class: "maps",
      tabindex: 0,
      role: "application",
      "aria-label": type === name ? `${name}: ${words}` : `${name}, ${type}: ${words}`,
      "aria-describedby": "map-keys",
      "data-path": path,
    },
    ...canvases.map((canvas) => element("span", { class: "map" }, canvas))
  );
  const about = element("span", { class: "soft" });
  const block = element("article", { class: "layer" }, element("h3", {}, name, about), group);
  const card = { path, layout, group, canvases, about, type: type === name ? "" : type, size };
  return { card, block };
}

/** @param {Layer} layer @returns {HTMLElement} A line for a layer that only passes values on. */
function makeLine(layer) {
  const words = layer.type === "flatten" ? "puts all values into a row" : "does nothing but in training";
  return element("p", { class: "passing soft" }, `${layer.path} ${words}.`);
}

/**
 * @param {Store} store
 * @returns {Card[]}
 */
function makeCards(store) {
  const image = makeCard("input", "image", "what the network gets", store.payload.shape);
  const cards = [image.card];
  byId("cards").append(image.block);
  for (const layer of store.all) {
    if (isDrawn(layer)) {
      const { card, block } = makeCard(layer.path, layer.path, layer.type, layer.output);
      cards.push(card);
      showFilters(store, layer, block);
      byId("cards").append(block);
    } else if (!layer.branches.length) {
      byId("cards").append(makeLine(layer));
    }
  }
  return cards;
}

/**
 * @param {Card} card
 * @param {Tensor} values
 */
function drawCard({ layout, canvases }, { data }) {
  const limit = limitOf(data);
  canvases.forEach((canvas, map) => {
    drawMap(
      canvas,
      layout.values,
      (k) => data[layout.at(map, Math.floor(k / layout.width), k % layout.width)] / limit
    );
  });
}

/** @param {Store} store */
export function showMaps(store) {
  const cards = makeCards(store);
  const toggle = /** @type {HTMLInputElement} */ (byId("show-gradients"));
  let waiting = false;
  const draw = () => {
    waiting = false;
    const gradients = store.gradients?.results;
    for (const card of cards) {
      const values = (gradients ?? store.pass.outputs).get(card.path);
      card.about.textContent = aboutCard(store, card, Boolean(values));
      card.group.classList.toggle("without", !values);
      if (values) drawCard(card, values);
    }
  };
  const soon = () => {
    if (!waiting && !byId("panel-layers").hidden) requestAnimationFrame(draw);
    waiting = !byId("panel-layers").hidden;
  };
  store.on("pass", soon);
  store.on("class", () => toggle.checked && soon());
  store.on("gradients", draw);
  listenToChoice(store, toggle);
  byId("tab-layers").addEventListener("click", soon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  for (const card of cards) listen(store, card);
  draw();
  return cards;
}

/**
 * @param {Store} store
 * @param {Card} card
 * @param {boolean} hasValues Whether the card has something to show.
 * @returns {string} What stands beside the name of a layer.
 */
function aboutCard(store, { path, type, size }, hasValues) {
  if (!store.gradients) return ` ${type} · ${size}`;
  if (!hasValues) return ` ${type} · no gradients: they begin at the values before this layer`;
  if (path !== "input") return ` ${type} · gradients of ${size} values`;
  return ` gradient of ${store.gradientsInWords} for each pixel · ${size}`;
}

/**
 * Let a box show and hide gradients, and a list beside it say what they are of.
 * @param {Store} store
 * @param {HTMLInputElement} toggle
 */
function listenToChoice(store, toggle) {
  const of = /** @type {HTMLSelectElement} */ (byId("gradients-of"));
  if (!store.payload.loss) of.options[1].remove();
  const choose = () => {
    const kind = /** @type {import("./store.js").GradientsOf} */ (of.value);
    store.showGradients(toggle.checked ? kind : "none");
  };
  toggle.addEventListener("change", choose);
  of.addEventListener("change", () => {
    toggle.checked = true;
    choose();
  });
}

/**
 * @param {Store} store
 * @param {Card} card
 */
function listen(store, card) {
  const { path, layout, group } = card;
  /** @param {PointerEvent | MouseEvent} event @returns {Place | null} */
  const placeUnder = (event) => {
    const canvas = event.target;
    if (!(canvas instanceof HTMLCanvasElement)) return null;
    const box = canvas.getBoundingClientRect();
    const col = Math.floor(((event.clientX - box.left) / box.width) * layout.width);
    const row = Math.floor(((event.clientY - box.top) / box.height) * layout.height);
    if (row < 0 || col < 0 || row >= layout.height || col >= layout.width) return null;
    return { path, at: layout.at(Number(canvas.dataset.map), row, col) };
  };
  group.addEventListener("pointermove", (event) => {
    const hasRoom = getComputedStyle(byId("trace")).position === "sticky"; // covers no maps
    if (event.pointerType === "mouse" && hasRoom) store.hover(placeUnder(event));
  });
  group.addEventListener("pointerleave", () => store.hover(null));
  group.addEventListener("click", (event) => {
    const place = placeUnder(event);
    if (place) store.select(place);
  });
  group.addEventListener("keydown", (event) => {
    const here = store.selected && drawnPlace(store, store.selected);
    const at = here && here.path === path ? here.at : null;
    const to = moved(layout, at, event.key);
    if (to === null) return;
    store.select({ path, at: to });
    event.preventDefault();
  });
}

/**
 * @param {Layout} layout
 * @param {number | null} at Null: nothing of this layer is looked at yet.
 * @param {string} key
 * @returns {number | null} The value that a key moves to.
 */
export function moved(layout, at, key) {
  /** @type {Record<string, [number, number, number]>} */
  const moves = {
    ArrowLeft: [0, 0, -1],
    ArrowRight: [0, 0, 1],
    ArrowUp: [0, -1, 0],
    ArrowDown: [0, 1, 0],
    PageUp: [-1, 0, 0],
    PageDown: [1, 0, 0],
  };
  if (!(key in moves)) return null;
  if (at === null) return layout.at(0, Math.floor(layout.height / 2), Math.floor(layout.width / 2));
  const { map, row, col } = layout.find(at);
  const [m, r, c] = moves[key];
  /** @param {number} value @param {number} size */
  const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
  return layout.at(
    within(map + m, layout.count),
    within(row + r, layout.height),
    within(col + c, layout.width)
  );
}
