// Normalisation, as inference computes it: by running statistics, or over each sample.

import { mapped, zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./convolution.js").Gradients} Gradients */

/**
 * Means and standard deviations, one for each part of a sample.
 * @typedef {{part: (at: number) => number, mean: Float64Array, deviation: Float64Array,
 *   count: number}} Statistics
 */

/**
 * @param {Tensor} x
 * @param {number} groups 0: the channels of every pixel are a part; else groups of channels.
 * @param {number} epsilon
 * @returns {Statistics}
 */
export function statisticsOf(x, groups, epsilon) {
  const n_c = x.shape[x.shape.length - 1];
  /** @param {number} at */
  const part = (at) =>
    groups ? Math.floor(((at % n_c) * groups) / n_c) : Math.floor(at / n_c);
  const parts = groups || x.data.length / n_c;
  const count = x.data.length / parts;
  const mean = new Float64Array(parts);
  const variance = new Float64Array(parts);
  x.data.forEach((value, at) => (mean[part(at)] += value / count));
  x.data.forEach((value, at) => (variance[part(at)] += (value - mean[part(at)]) ** 2 / count));
  return { part, mean, deviation: variance.map((v) => Math.sqrt(v + epsilon)), count };
}

/**
 * @param {Tensor} mean Running mean of each channel.
 * @param {Tensor} variance Running variance.
 * @param {number} epsilon
 * @returns {Statistics} A part for each channel.
 */
export function runningStatistics(mean, variance, epsilon) {
  const n_c = mean.data.length;
  return {
    part: (at) => at % n_c,
    mean: Float64Array.from(mean.data),
    deviation: Float64Array.from(variance.data, (v) => Math.sqrt(v + epsilon)),
    count: 0,
  };
}

/**
 * @param {Tensor} x
 * @param {Statistics} statistics
 * @param {Tensor} scale
 * @param {Tensor} shift
 * @returns {Tensor}
 */
export function normForward(x, { part, mean, deviation }, scale, shift) {
  const n_c = scale.data.length;
  return mapped(x, (value, at) => {
    const k = part(at);
    return ((value - mean[k]) / deviation[k]) * scale.data[at % n_c] + shift.data[at % n_c];
  });
}

/**
 * @param {Tensor} x
 * @param {Statistics} statistics With a count of 0 they are constants.
 * @param {Tensor} scale
 * @param {Tensor} dA
 * @returns {Gradients}
 */
export function normBackward(x, { part, mean, deviation, count }, scale, dA) {
  const n_c = scale.data.length;
  const grads = { scale: zeros([n_c]), shift: zeros([n_c]) };
  const [sums, products] = [new Float64Array(mean.length), new Float64Array(mean.length)];
  const normal = mapped(x, (value, at) => (value - mean[part(at)]) / deviation[part(at)]);
  dA.data.forEach((gradient, at) => {
    grads.scale.data[at % n_c] += gradient * normal.data[at];
    grads.shift.data[at % n_c] += gradient;
    sums[part(at)] += gradient * scale.data[at % n_c];
    products[part(at)] += gradient * scale.data[at % n_c] * normal.data[at];
  });
  const dX = mapped(dA, (gradient, at) => {
    const k = part(at);
    const through = count ? (sums[k] + normal.data[at] * products[k]) / count : 0;
    return (gradient * scale.data[at % n_c] - through) / deviation[k];
  });
  return { dX, grads };
}
