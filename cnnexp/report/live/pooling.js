// Pooling: the largest value or the mean under a window, or of a whole channel.

import { eachPixel, positions } from "./window.js";
import { zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./window.js").Window} Window */

/**
 * Call a function for each value of a pooling layer's result.
 * @param {Tensor} x
 * @param {Window} window
 * @param {(h: number, w: number, c: number, at: number) => void} visit `at`: its flat index.
 */
function eachResult(x, window, visit) {
  const [oh, ow, n_c] = pooledShape(x, window);
  for (let at = 0; at < oh * ow * n_c; at++) {
    const position = Math.floor(at / n_c);
    visit(Math.floor(position / ow), position % ow, at % n_c, at);
  }
}

/**
 * @param {Tensor} x
 * @param {Window} window
 */
function pooledShape(x, window) {
  return [positions(window.rows), positions(window.cols), x.shape[2]];
}

/**
 * @param {Tensor} x
 * @param {Window} window
 * @param {number} h
 * @param {number} w
 * @param {number} c
 * @returns {number} The flat index of the largest pixel under the window; of equal ones the first.
 */
export function largestUnder(x, window, h, w, c) {
  let best = -1;
  eachPixel(window, h, w, (row, col) => {
    const at = (row * x.shape[1] + col) * x.shape[2] + c;
    if (best < 0 || x.data[at] > x.data[best]) best = at;
  });
  return best;
}

/**
 * @param {Tensor} x
 * @param {Window} window
 * @returns {Tensor}
 */
export function maxPoolForward(x, window) {
  const A = zeros(pooledShape(x, window));
  eachResult(x, window, (h, w, c, at) => {
    A.data[at] = x.data[largestUnder(x, window, h, w, c)];
  });
  return A;
}

/**
 * @param {Tensor} x
 * @param {Window} window
 * @param {Tensor} dA
 * @returns {Tensor} Each gradient where the first maximum was.
 */
export function maxPoolBackward(x, window, dA) {
  const dX = zeros(x.shape);
  eachResult(x, window, (h, w, c, at) => {
    dX.data[largestUnder(x, window, h, w, c)] += dA.data[at];
  });
  return dX;
}

/**
 * @param {Tensor} x
 * @param {Window} window
 * @returns {Tensor} Means; padding counts as zeros.
 */
export function avgPoolForward(x, window) {
  const A = zeros(pooledShape(x, window));
  const size = window.rows.width * window.cols.width;
  eachResult(x, window, (h, w, c, at) => {
    let sum = 0;
    eachPixel(window, h, w, (row, col) => {
      sum += x.data[(row * x.shape[1] + col) * x.shape[2] + c];
    });
    A.data[at] = sum / size;
  });
  return A;
}

/**
 * @param {Tensor} x
 * @param {Window} window
 * @param {Tensor} dA
 * @returns {Tensor} An even share of each gradient for every pixel under its window.
 */
export function avgPoolBackward(x, window, dA) {
  const dX = zeros(x.shape);
  const size = window.rows.width * window.cols.width;
  eachResult(x, window, (h, w, c, at) => {
    eachPixel(window, h, w, (row, col) => {
      dX.data[(row * x.shape[1] + col) * x.shape[2] + c] += dA.data[at] / size;
    });
  });
  return dX;
}

/**
 * @param {Tensor} x
 * @param {number} c
 * @returns {number} The flat index of the largest value of a channel; of equal ones the first.
 */
export function largestOfChannel(x, c) {
  let best = c;
  for (let k = c; k < x.data.length; k += x.shape[2]) if (x.data[k] > x.data[best]) best = k;
  return best;
}

/**
 * @param {Tensor} x
 * @returns {Tensor} The mean of each channel.
 */
export function globalAverage(x) {
  const n_c = x.shape[2];
  const sums = new Float64Array(n_c);
  for (let k = 0; k < x.data.length; k++) sums[k % n_c] += x.data[k];
  return { shape: [n_c], data: Float32Array.from(sums, (sum) => (sum * n_c) / x.data.length) };
}
