// Numbers as colours: zero is the paper, positive values go to red, negative ones to
// blue, as in the pictures of `inspect` and of the course.

import { reach } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {[number, number, number]} Color */
/** @typedef {{paper: Color, positive: Color, negative: Color, ink: Color}} Palette */
/** @typedef {"signed" | "ink" | "color"} Kind */

/** @type {Palette} */
const LIGHT = {
  paper: [255, 255, 255],
  positive: [165, 15, 32],
  negative: [16, 78, 145],
  ink: [20, 26, 32],
};
/** @type {Palette} */
const DARK = {
  paper: [22, 27, 33],
  positive: [255, 138, 122],
  negative: [128, 196, 255],
  ink: [240, 243, 246],
};

/** @returns {Palette} */
export function palette() {
  return matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
}

/**
 * @param {number} share From -1 to 1.
 * @param {Palette} colors
 * @param {Kind} kind "ink": from paper to ink, without a sign.
 * @returns {Color}
 */
export function colorOf(share, { paper, positive, negative, ink }, kind = "signed") {
  const end = kind === "ink" ? ink : share < 0 ? negative : positive;
  const part = Math.min(Math.abs(share), 1) ** 0.8;
  return /** @type {Color} */ (paper.map((from, k) => Math.round(from + part * (end[k] - from))));
}

/**
 * @param {number} share
 * @returns {string} A colour for CSS.
 */
export function cssColor(share) {
  return `rgb(${colorOf(share, palette()).join(" ")})`;
}

/**
 * @param {number} share
 * @returns {string} The colour of a number that stands on `cssColor(share)`.
 */
export function textOn(share) {
  const [red, green, blue] = colorOf(share, palette()).map((part) => (part / 255) ** 2.2);
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.18 ? "#000" : "#fff"; // either has a contrast of 4.5 there
}

/**
 * @param {ArrayLike<number>} values
 * @returns {number} What becomes the full colour; never zero.
 */
export function limitOf(values) {
  return reach(values) || 1;
}

/**
 * Draw one map, a value for each pixel of the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {number} count How many values there are; pixels after them stay empty.
 * @param {(at: number) => number} share From -1 to 1.
 * @param {Kind} [kind]
 */
export function drawMap(canvas, count, share, kind = "signed") {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(image.data.buffer);
  const table = kind === "ink" ? inkTable() : signedTable();
  for (let at = 0; at < count; at++) {
    const value = Math.max(-1, Math.min(1, share(at) || 0));
    words[at] = table[Math.round(255 + value * 255)];
  }
  context.putImageData(image, 0, 0);
}

/** @type {Map<string, Uint32Array>} */
const tables = new Map();

/** @param {Kind} kind @returns {Uint32Array} Pixels for shares from -1 to 1. */
function tableOf(kind) {
  const colors = palette();
  const key = `${kind} ${colors.paper}`;
  const found = tables.get(key);
  if (found) return found;
  const table = Uint32Array.from({ length: 511 }, (_, k) => {
    const [red, green, blue] = colorOf((k - 255) / 255, colors, kind);
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  });
  tables.set(key, table);
  return table;
}

/** @returns {Uint32Array} */
function signedTable() {
  return tableOf("signed");
}

/** @returns {Uint32Array} */
function inkTable() {
  return tableOf("ink");
}

/**
 * Draw an image as it is: light pixels light; three channels are red, green and blue.
 * @param {HTMLCanvasElement} canvas
 * @param {Tensor} image
 * @param {number} low What is black.
 * @param {number} high What is white.
 */
export function drawImage(canvas, { shape, data }, low, high) {
  const [ih, iw, n_c] = shape;
  [canvas.height, canvas.width] = [ih, iw];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(iw, ih);
  for (let k = 0; k < ih * iw; k++) {
    for (let c = 0; c < 3; c++) {
      const value = data[k * n_c + (n_c >= 3 ? c : 0)];
      pixels.data[4 * k + c] = (255 * (value - low)) / (high - low);
    }
    pixels.data[4 * k + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}
