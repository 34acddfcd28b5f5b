// Convolutions. Weights are W (f_h, f_w, channels of a group, filters) and b (filters).

import { positions } from "./window.js";
import { zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./window.js").Window} Window */
/** @typedef {{W: Tensor, b: Tensor}} Filters */
/** @typedef {{dX: Tensor, grads: Record<string, Tensor>}} Gradients */

/**
 * Call a function for each pair of a pixel under the window and a position, with flat offsets.
 * @param {Tensor} x
 * @param {Tensor} W
 * @param {Window} window
 * @param {(out: number, pixel: number, weight: number) => void} visit
 *   `out`: the position among all; `pixel`, `weight`: the first channel's place in x and in W.
 */
function eachMeeting(x, W, window, visit) {
  const { rows, cols } = window;
  const [oh, ow] = [positions(rows), positions(cols)];
  const n_c = x.shape[2];
  const perPixel = W.shape[2] * W.shape[3];
  for (let h = 0; h < oh; h++) {
    for (let w = 0; w < ow; w++) {
      for (let a = 0; a < rows.width; a++) {
        const row = h * rows.stride + a * rows.dilation - rows.before;
        if (row < 0 || row >= rows.size) continue;
        for (let b = 0; b < cols.width; b++) {
          const col = w * cols.stride + b * cols.dilation - cols.before;
          if (col < 0 || col >= cols.size) continue;
          visit(h * ow + w, (row * cols.size + col) * n_c, (a * cols.width + b) * perPixel);
        }
      }
    }
  }
}

/**
 * Say which filters a channel of the image meets: those of its group of channels.
 * @param {Tensor} x
 * @param {Tensor} W
 * @returns {{count: number, filters: number[], weights: number[]}} How many filters; for each
 *   channel the first of them, and its place among the weights of a pixel.
 */
function meetingsOf(x, W) {
  const [, , perGroup, n_f] = W.shape;
  const count = n_f / (x.shape[2] / perGroup);
  const channels = Array.from({ length: x.shape[2] }, (_, c) => c);
  const filters = channels.map((c) => Math.floor(c / perGroup) * count);
  return { count, filters, weights: channels.map((c) => (c % perGroup) * n_f + filters[c]) };
}

/**
 * @param {Tensor} x An image (rows, columns, channels).
 * @param {Filters} filters
 * @param {Window} window
 * @returns {Tensor} Z: for each position and filter the sum of products, plus the bias.
 */
export function convForward(x, { W, b }, window) {
  const n_f = W.shape[3];
  const out = [positions(window.rows), positions(window.cols), n_f];
  const sums = new Float64Array(out[0] * out[1] * n_f);
  for (let k = 0; k < sums.length; k++) sums[k] = b.data[k % n_f];
  const { count, filters, weights } = meetingsOf(x, W);
  const [n_c, pixels, all] = [x.shape[2], x.data, W.data];
  eachMeeting(x, W, window, (at, pixel, weight) => {
    for (let c = 0; c < n_c; c++) {
      const value = pixels[pixel + c];
      if (value === 0) continue;
      const Wc = weight + weights[c];
      const Zc = at * n_f + filters[c];
      for (let f = 0; f < count; f++) sums[Zc + f] += value * all[Wc + f];
    }
  });
  return { shape: out, data: Float32Array.from(sums) };
}

/**
 * @param {Tensor} x
 * @param {Filters} filters
 * @param {Window} window
 * @param {Tensor} dZ The gradient for the result.
 * @returns {Gradients} Those for the image, the weights and the biases.
 */
export function convBackward(x, { W, b }, window, dZ) {
  const n_f = W.shape[3];
  const { count, filters, weights } = meetingsOf(x, W);
  const dX = new Float64Array(x.data.length);
  const dW = new Float64Array(W.data.length);
  eachMeeting(x, W, window, (at, pixel, weight) => {
    for (let c = 0; c < x.shape[2]; c++) {
      const Wc = weight + weights[c];
      const Zc = at * n_f + filters[c];
      const value = x.data[pixel + c];
      let sum = 0;
      for (let f = 0; f < count; f++) {
        const dz = dZ.data[Zc + f];
        sum += dz * W.data[Wc + f];
        dW[Wc + f] += dz * value;
      }
      dX[pixel + c] += sum;
    }
  });
  const db = zeros(b.shape);
  for (let k = 0; k < dZ.data.length; k++) db.data[k % n_f] += dZ.data[k];
  return {
    dX: { shape: x.shape, data: Float32Array.from(dX) },
    grads: { W: { shape: W.shape, data: Float32Array.from(dW) }, b: db },
  };
}

/**
 * @param {Tensor} W
 * @returns {Tensor} Filters turned by half a turn, as a transposed convolution uses them.
 */
export function turned(W) {
  const [f_h, f_w, n_c, n_f] = W.shape;
  const result = zeros(W.shape);
  const size = n_c * n_f;
  for (let k = 0; k < f_h * f_w; k++) {
    const from = (f_h * f_w - 1 - k) * size;
    result.data.set(W.data.subarray(from, from + size), k * size);
  }
  return result;
}

/**
 * @param {Tensor} x
 * @param {Window} window Its size is that of the image with zeros between its pixels.
 * @param {[number, number]} stride
 * @returns {Tensor} The image with zeros between its pixels.
 */
export function spread(x, window, [s_h, s_w]) {
  const [ih, iw, n_c] = x.shape;
  const result = zeros([window.rows.size, window.cols.size, n_c]);
  for (let h = 0; h < ih; h++) {
    for (let w = 0; w < iw; w++) {
      const from = (h * iw + w) * n_c;
      const to = (h * s_h * window.cols.size + w * s_w) * n_c;
      result.data.set(x.data.subarray(from, from + n_c), to);
    }
  }
  return result;
}

/**
 * @param {Tensor} wide A gradient for the image with zeros between its pixels.
 * @param {number[]} shape Of the image.
 * @param {[number, number]} stride
 * @returns {Tensor} The gradient for the pixels alone.
 */
export function gathered(wide, shape, [s_h, s_w]) {
  const [ih, iw, n_c] = shape;
  const result = zeros(shape);
  for (let h = 0; h < ih; h++) {
    for (let w = 0; w < iw; w++) {
      const from = (h * s_h * wide.shape[1] + w * s_w) * n_c;
      result.data.set(wide.data.subarray(from, from + n_c), (h * iw + w) * n_c);
    }
  }
  return result;
}
