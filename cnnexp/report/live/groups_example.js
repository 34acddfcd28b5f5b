// The small example of the tab «Stride groups»: what the fields ask for, and its numbers.

import { byId } from "./dom.js";
import { makeAxis, paddedSize, reachOf } from "./window.js";

/** @typedef {import("./window.js").Window} Window */
/** @typedef {import("./methods.js").Sizes} Sizes */
/** @typedef {{window: Window, sizes: Sizes, images: number[][], filters: number[][]}} Example */

/** @type {Record<string, [string, number, number]>} Name, least and largest value of a field. */
export const FIELDS = {
  "g-rows": ["rows", 1, 12],
  "g-cols": ["columns", 1, 12],
  "g-filter": ["filter", 1, 5],
  "g-stride": ["stride", 1, 5],
  "g-padding": ["padding", 0, 3],
  "g-samples": ["samples", 1, 4],
  "g-filters": ["filters", 1, 4],
};

/** @param {string} id */
const textOf = (id) => /** @type {HTMLInputElement} */ (byId(id)).value.trim();

/** @returns {string[]} What is wrong with single fields, a sentence each. */
function faultsOfFields() {
  return Object.entries(FIELDS).flatMap(([id, [name, least, most]]) => {
    const text = textOf(id);
    const value = Number(text);
    if (text && Number.isInteger(value) && value >= least && value <= most) return [];
    return [`${name}: ${text || "nothing"} is not possible, whole numbers from ${least} to ${most} are.`];
  });
}

/**
 * Read the fields. The pixels are numbered from 1, and a filter of 2 × 2 is 1, 10, 100, 1000, as in
 * docs/stride_groups.md: so an output shows which pixel met which element. Larger filters have
 * small numbers, so that outputs stay readable.
 * @returns {Example | string} What the fields ask for, or why that is impossible.
 */
export function readExample() {
  const faults = faultsOfFields();
  if (faults.length) return faults.join(" ");
  const [rows, cols, f, s, p, samples, filters] = Object.keys(FIELDS).map((id) => Number(textOf(id)));
  const window = { rows: makeAxis(rows, f, s, p), cols: makeAxis(cols, f, s, p) };
  if ([window.rows, window.cols].some((axis) => paddedSize(axis) < reachOf(axis))) {
    const most = Math.min(rows, cols) + 2 * p;
    return `A filter of ${f} × ${f} does not fit on ${rows} × ${cols} pixels with padding ${p}: ${most} × ${most} is the largest that does.`;
  }
  const element = (/** @type {number} */ n, /** @type {number} */ k) =>
    f <= 2 ? 10 ** ((k + n) % (f * f)) : ((k * 5 + n) % 3) - 1;
  return {
    window,
    sizes: { samples, filters },
    images: made(samples, rows * cols, (n, k) => n * rows * cols + k + 1),
    filters: made(filters, f * f, element),
  };
}

/**
 * @param {number} count
 * @param {number} size
 * @param {(n: number, k: number) => number} value
 * @returns {number[][]} So many lists, each of a size.
 */
function made(count, size, value) {
  return Array.from({ length: count }, (_, n) => Array.from({ length: size }, (_, k) => value(n, k)));
}
