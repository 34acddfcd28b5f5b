// Outlines around the value that is explained, and around the values that it is made of.

import { explain } from "./explain.js";
import { drawnPlace } from "./places.js";
import { element } from "./dom.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Place} Place */
/** @typedef {import("./maps.js").Card} Card */

/**
 * @param {Card} card
 * @param {number[]} values Flat indices in the layer's result.
 * @param {string} name A class of CSS.
 * @returns {HTMLElement[]} An outline on each map that has some of them.
 */
function outline({ layout, canvases }, values, name) {
  /** @type {Map<number, {top: number, left: number, bottom: number, right: number}>} */
  const boxes = new Map();
  for (const at of values) {
    const { map, row, col } = layout.find(at);
    const box = boxes.get(map) ?? { top: row, left: col, bottom: row, right: col };
    box.top = Math.min(box.top, row);
    box.left = Math.min(box.left, col);
    box.bottom = Math.max(box.bottom, row);
    box.right = Math.max(box.right, col);
    boxes.set(map, box);
  }
  return [...boxes].map(([map, { top, left, bottom, right }]) => {
    const mark = element("i", { class: `mark ${name}` });
    mark.style.top = `${(100 * top) / layout.height}%`;
    mark.style.left = `${(100 * left) / layout.width}%`;
    mark.style.height = `${(100 * (bottom + 1 - top)) / layout.height}%`;
    mark.style.width = `${(100 * (right + 1 - left)) / layout.width}%`;
    canvases[map].after(mark);
    return mark;
  });
}

/**
 * @param {Store} store
 * @param {Card[]} cards
 */
export function showMarks(store, cards) {
  /** @type {HTMLElement[]} */
  let marks = [];
  const cardOf = (/** @type {string} */ path) => cards.find((card) => card.path === path);
  const update = () => {
    for (const mark of marks) mark.remove();
    marks = [];
    if (!store.looked) return;
    const place = drawnPlace(store, store.looked);
    const card = cardOf(place.path);
    if (card) marks.push(...outline(card, [place.at], "here"));
    const layer = store.layer(place.path);
    if (!layer) return;
    /** @type {Map<string, number[]>} */
    const sources = new Map();
    for (const term of explain(layer, store.pass, place.at).terms) {
      const { path, at } = drawnPlace(store, term);
      if (!sources.has(path)) sources.set(path, []);
      sources.get(path)?.push(at);
    }
    for (const [path, values] of sources) {
      const source = cardOf(path);
      if (source) marks.push(...outline(source, values, "from"));
    }
  };
  store.on("selection", update);
}
