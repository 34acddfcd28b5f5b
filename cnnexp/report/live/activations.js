// Activations: for each a function of z, and its slope given z and the result a.

import { mapped, zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {Record<string, any>} Options */
/**
 * @typedef {{apply: (z: number, options: Options) => number,
 *   slope: (z: number, a: number, options: Options) => number, formula: string}} Activation
 */

/** @param {number} z */
export function sigmoid(z) {
  return 0.5 * Math.tanh(0.5 * z) + 0.5;
}

/** @param {number} z */
function geluFactor(z) {
  return sigmoid(2 * 0.7978845608028654 * (z + 0.044715 * z * z * z));
}

/** @type {Record<string, Activation>} */
export const ACTIVATIONS = {
  relu: {
    apply: (z) => (z > 0 ? z : 0),
    slope: (z) => (z > 0 ? 1 : 0),
    formula: "max(z, 0)",
  },
  leaky_relu: {
    apply: (z, { slope }) => Math.max(z, slope * z),
    slope: (z, _, { slope }) => (z > 0 ? 1 : slope),
    formula: "z, or slope · z below 0",
  },
  sigmoid: { apply: sigmoid, slope: (_, a) => a * (1 - a), formula: "1 / (1 + exp(−z))" },
  tanh: { apply: Math.tanh, slope: (_, a) => 1 - a * a, formula: "tanh z" },
  elu: {
    apply: (z, { alpha }) => (z > 0 ? z : alpha * Math.expm1(z)),
    slope: (z, a, { alpha }) => (z > 0 ? 1 : a + alpha),
    formula: "z, or α · (exp z − 1) below 0",
  },
  softplus: {
    apply: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
    slope: (z) => sigmoid(z),
    formula: "log(1 + exp z)",
  },
  silu: {
    apply: (z) => z * sigmoid(z),
    slope: (z) => sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    formula: "z · sigmoid(z)",
  },
  gelu: {
    apply: (z) => z * geluFactor(z),
    slope: (z) => {
      const h = geluFactor(z);
      const inner = 0.7978845608028654 * (1 + 3 * 0.044715 * z * z);
      return h + z * 2 * h * (1 - h) * inner;
    },
    formula: "z · (1 + tanh(√(2/π) · (z + 0.044715 z³))) / 2",
  },
  hard_swish: {
    apply: (z) => (z * Math.min(Math.max(z + 3, 0), 6)) / 6,
    slope: (z) => (z <= -3 ? 0 : z >= 3 ? 1 : (2 * z + 3) / 6),
    formula: "z · min(max(z + 3, 0), 6) / 6",
  },
};

/**
 * @param {Tensor} x
 * @param {(row: Float64Array) => void} change Is called with each row along the last axis.
 * @returns {Tensor}
 */
function byRows(x, change) {
  const width = x.shape[x.shape.length - 1];
  const A = zeros(x.shape);
  for (let start = 0; start < x.data.length; start += width) {
    const row = Float64Array.from(x.data.subarray(start, start + width));
    change(row);
    A.data.set(row, start);
  }
  return A;
}

/** @param {Float64Array} row */
function softmaxRow(row) {
  const top = row.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (let k = 0; k < row.length; k++) sum += row[k] = Math.exp(row[k] - top);
  for (let k = 0; k < row.length; k++) row[k] /= sum;
}

/**
 * @param {Tensor} x
 * @returns {Tensor} Probabilities over the last axis.
 */
export function softmax(x) {
  return byRows(x, softmaxRow);
}

/**
 * @param {Tensor} x
 * @returns {Tensor} Logarithms of probabilities over the last axis.
 */
export function logSoftmax(x) {
  return byRows(x, (row) => {
    const top = row.reduce((a, b) => Math.max(a, b));
    const log = Math.log(row.reduce((sum, z) => sum + Math.exp(z - top), 0));
    for (let k = 0; k < row.length; k++) row[k] -= top + log;
  });
}

/**
 * @param {Tensor} a What softmax or its logarithm gave.
 * @param {Tensor} dA
 * @param {boolean} logarithm
 * @returns {Tensor} The gradient for what went in.
 */
export function softmaxBackward(a, dA, logarithm) {
  const width = a.shape[a.shape.length - 1];
  const sums = new Float64Array(a.data.length / width);
  for (let k = 0; k < a.data.length; k++) {
    sums[Math.floor(k / width)] += logarithm ? dA.data[k] : a.data[k] * dA.data[k];
  }
  return mapped(dA, (gradient, k) => {
    const sum = sums[Math.floor(k / width)];
    return logarithm ? gradient - Math.exp(a.data[k]) * sum : a.data[k] * (gradient - sum);
  });
}
