// Where a value is drawn: maps are images of one channel, rows of numbers are wrapped into lines.

import { isChain } from "./network.js";
import { unravel } from "./tensor.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Place} Place */
/** @typedef {import("./layers.js").Layer} Layer */
/**
 * The pictures of one layer: how many, how large, and where a value is in them.
 * @typedef {{count: number, width: number, height: number, values: number,
 *   at: (map: number, row: number, col: number) => number,
 *   find: (at: number) => {map: number, row: number, col: number}}} Layout
 */

const LINE = 32; // numbers of a row in one line
const PASSING = ["flatten", "dropout", "spatial_dropout"]; // give what they get, in the same order

/** @param {Layer} layer @returns {boolean} Whether it has pictures of its own. */
export function isDrawn(layer) {
  return !PASSING.includes(layer.type) && !isChain(layer);
}

/**
 * @param {number[]} shape Of a layer's result.
 * @returns {Layout}
 */
export function layoutOf(shape) {
  if (shape.length !== 3) {
    const size = shape.reduce((a, b) => a * b);
    const width = Math.min(size, LINE);
    return {
      count: 1,
      width,
      height: Math.ceil(size / width),
      values: size,
      at: (_, row, col) => Math.min(row * width + col, size - 1),
      find: (at) => ({ map: 0, row: Math.floor(at / width), col: at % width }),
    };
  }
  const [height, width, count] = shape;
  return {
    count,
    width,
    height,
    values: height * width,
    at: (map, row, col) => (row * width + col) * count + map,
    find: (at) => {
      const [row, col, map] = unravel(shape, at);
      return { map, row, col };
    },
  };
}

/**
 * Return where a value is drawn: layers that only pass values on are left out.
 * @param {Store} store
 * @param {Place} place
 * @returns {Place}
 */
export function drawnPlace(store, place) {
  let { path } = place;
  for (let layer = store.layer(path); layer && !isDrawn(layer); layer = store.layer(path)) {
    const inside = isChain(layer) ? layer.branches[0] : null;
    path = inside
      ? inside[inside.length - 1].path
      : /** @type {string} */ (store.pass.sources.get(path));
  }
  return { path, at: place.at };
}

/**
 * @param {Store} store
 * @param {string} path
 * @returns {number[]} The shape of a layer's result, or of the image.
 */
export function shapeOf(store, path) {
  return store.layer(path)?.output ?? store.payload.shape;
}

/**
 * @param {Store} store
 * @param {Place} place
 * @returns {string} Where a value is, in words; counted from 0, as in NumPy.
 */
export function placeInWords(store, { path, at }) {
  const shape = shapeOf(store, path);
  const name = store.layer(path)?.path ?? "image";
  if (shape.length !== 3) {
    const isLast = path === store.layers[store.layers.length - 1].path;
    return isLast ? `${name}, class ${store.payload.classes[at]}` : `${name}, value ${at}`;
  }
  const [row, col, map] = unravel(shape, at);
  const kind = path === "input" ? "channel" : "feature map";
  return `${name}, ${kind} ${map}, row ${row}, column ${col}`;
}
