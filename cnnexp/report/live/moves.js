// Layers that only move values: margins and repeated pixels.

import { zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {[[number, number], [number, number]]} Margins Above and below, left and right. */

/**
 * @param {any} margin One number, one for rows and columns each, or one for each of four ends.
 * @returns {Margins}
 */
export function margins(margin) {
  const [rows, cols] = Array.isArray(margin) ? margin : [margin, margin];
  /** @param {any} ends @returns {[number, number]} */
  const both = (ends) => (Array.isArray(ends) ? [ends[0], ends[1]] : [ends, ends]);
  return [both(rows), both(cols)];
}

/**
 * @param {any} value One number, or one for rows and one for columns.
 * @returns {[number, number]}
 */
export function pair(value) {
  return Array.isArray(value) ? [value[0], value[1]] : [value, value];
}

/**
 * @param {Tensor} x
 * @param {Margins} margins
 * @param {number} value Of the margin.
 * @returns {Tensor} The image within a margin.
 */
export function padded(x, [[top, bottom], [left, right]], value) {
  const [ih, iw, n_c] = x.shape;
  const result = zeros([ih + top + bottom, iw + left + right, n_c]);
  result.data.fill(value);
  for (let h = 0; h < ih; h++) {
    const row = x.data.subarray(h * iw * n_c, (h + 1) * iw * n_c);
    result.data.set(row, ((h + top) * result.shape[1] + left) * n_c);
  }
  return result;
}

/**
 * @param {Tensor} x
 * @param {Margins} margins
 * @returns {Tensor} The image without a margin.
 */
export function cropped(x, [[top, bottom], [left, right]]) {
  const [ih, iw, n_c] = x.shape;
  const result = zeros([ih - top - bottom, iw - left - right, n_c]);
  const width = result.shape[1] * n_c;
  for (let h = 0; h < result.shape[0]; h++) {
    const from = ((h + top) * iw + left) * n_c;
    result.data.set(x.data.subarray(from, from + width), h * width);
  }
  return result;
}

/**
 * @param {number[]} shape Of the larger image.
 * @param {[number, number]} factor
 * @param {number} at A flat index of it.
 * @returns {number} The flat index of the pixel that it is a copy of.
 */
export function copiedFrom(shape, [tall, wide], at) {
  const [, ow, n_c] = shape;
  const position = Math.floor(at / n_c);
  const [row, col] = [Math.floor(position / ow), position % ow];
  return (Math.floor(row / tall) * (ow / wide) + Math.floor(col / wide)) * n_c + (at % n_c);
}
