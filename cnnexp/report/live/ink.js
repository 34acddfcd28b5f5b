// From strokes to an image like those that the network has learnt from.

import { zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./payload.js").Drawing} Drawing */
/** @typedef {{x: number, y: number}} Point From 0 to 1 across the pad. */
/** @typedef {{top: number, left: number, bottom: number, right: number}} Box */

export const FINE = 4; // ink is kept on a grid so many times as fine as the image

/**
 * @param {number[]} shape Of the image.
 * @returns {Tensor} No ink, (rows, columns).
 */
export function noInk([ih, iw]) {
  return zeros([ih * FINE, iw * FINE]);
}

/**
 * Add a piece of a stroke, with a soft edge.
 * @param {Tensor} ink
 * @param {Point} from
 * @param {Point} to
 * @param {number} radius In pixels of the fine grid.
 */
export function stroke(ink, from, to, radius) {
  const [rows, cols] = ink.shape;
  const [x0, y0, x1, y1] = [from.x * cols, from.y * rows, to.x * cols, to.y * rows];
  const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  const edge = radius + 1;
  for (let h = Math.floor(Math.min(y0, y1) - edge); h <= Math.max(y0, y1) + edge; h++) {
    for (let w = Math.floor(Math.min(x0, x1) - edge); w <= Math.max(x0, x1) + edge; w++) {
      if (h < 0 || w < 0 || h >= rows || w >= cols) continue;
      const along = length ? ((w + 0.5 - x0) * (x1 - x0) + (h + 0.5 - y0) * (y1 - y0)) / length : 0;
      const t = Math.min(Math.max(along, 0), 1);
      const distance = Math.hypot(w + 0.5 - x0 - t * (x1 - x0), h + 0.5 - y0 - t * (y1 - y0));
      const value = Math.min(Math.max(radius + 0.5 - distance, 0), 1);
      ink.data[h * cols + w] = Math.max(ink.data[h * cols + w], value);
    }
  }
}

/** @param {Tensor} ink @returns {Box | null} Where there is ink. */
export function inkBox({ shape: [rows, cols], data }) {
  const box = { top: rows, left: cols, bottom: -1, right: -1 };
  for (let k = 0; k < data.length; k++) {
    if (data[k] < 0.25) continue;
    const [h, w] = [Math.floor(k / cols), k % cols];
    box.top = Math.min(box.top, h);
    box.bottom = Math.max(box.bottom, h + 1);
    box.left = Math.min(box.left, w);
    box.right = Math.max(box.right, w + 1);
  }
  return box.bottom < 0 ? null : box;
}

/** @param {Tensor} ink @returns {[number, number]} The centre of mass, in pixels. */
function centreOf({ shape: [, cols], data }) {
  let [mass, y, x] = [0, 0, 0];
  for (let k = 0; k < data.length; k++) {
    mass += data[k];
    y += data[k] * (Math.floor(k / cols) + 0.5);
    x += data[k] * ((k % cols) + 0.5);
  }
  return [y / mass, x / mass];
}

/**
 * @param {Tensor} ink
 * @param {number} scale Pixels of the fine grid for each pixel of the result.
 * @param {[number, number]} origin Where the result's upper left corner lies in the ink.
 * @param {number[]} shape Of the result.
 * @returns {Tensor} Means over squares of ink.
 */
function sampled(ink, scale, [top, left], [ih, iw]) {
  const result = zeros([ih, iw]);
  const [rows, cols] = ink.shape;
  for (let h = 0; h < ih; h++) {
    for (let w = 0; w < iw; w++) {
      let sum = 0;
      for (let k = 0; k < FINE * FINE; k++) {
        const row = Math.floor(top + (h + (Math.floor(k / FINE) + 0.5) / FINE) * scale);
        const col = Math.floor(left + (w + ((k % FINE) + 0.5) / FINE) * scale);
        if (row >= 0 && col >= 0 && row < rows && col < cols) sum += ink.data[row * cols + col];
      }
      result.data[h * iw + w] = sum / (FINE * FINE);
    }
  }
  return result;
}

/**
 * @param {number} centre Of the mass, along one axis, in pixels of the fine grid.
 * @param {number} first Where the figure begins.
 * @param {number} end Where it ends.
 * @param {number} scale Pixels of the fine grid for each pixel of the image.
 * @param {number} size Of the image, in its pixels.
 * @returns {number} Where the image begins; all of the figure stays within it.
 */
function cornerOf(centre, first, end, scale, size) {
  const wanted = Math.round(size / 2 - ((centre - first) / scale - 0.5));
  return first - Math.min(Math.max(wanted, 0), size - (end - first) / scale) * scale;
}

/**
 * Scale and centre the ink as the data set does: the longer side takes a share of the image, and
 * the centre of mass is in the middle.
 * @param {Tensor} ink
 * @param {number[]} shape Of the image.
 * @param {number | null} share Null: the ink stays where it is.
 * @returns {Tensor} Ink from 0 to 1, (rows, columns).
 */
export function fitted(ink, shape, share) {
  const box = share === null ? null : inkBox(ink);
  if (!box || share === null) return sampled(ink, FINE, [0, 0], shape);
  const longer = Math.max(box.bottom - box.top, box.right - box.left);
  const scale = Math.max(longer, FINE * 2) / (share * Math.min(shape[0], shape[1]));
  const [y, x] = centreOf(ink);
  const top = cornerOf(y, box.top, box.bottom, scale, shape[0]);
  const left = cornerOf(x, box.left, box.right, scale, shape[1]);
  return sampled(ink, scale, [top, left], shape);
}

/**
 * @param {Tensor} ink
 * @param {number[]} shape Of the image, of one channel.
 * @param {Drawing} drawing
 * @param {boolean} centred Whether it is scaled and centred, where the data set does that.
 * @returns {Tensor} The image that the network gets.
 */
export function imageOf(ink, shape, { low, high, share }, centred) {
  const { data } = fitted(ink, shape, centred ? share : null);
  return { shape, data: data.map((value) => low + value * (high - low)) };
}
