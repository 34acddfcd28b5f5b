// What each type of layer computes: forward, and backward to gradients.
// A layer that is not in this table, nor among BLOCKS of network.js, cannot be on a page.

import { ACTIVATIONS, logSoftmax, softmax, softmaxBackward } from "./activations.js";
import { convBackward, convForward, gathered, spread, turned } from "./convolution.js";
import { copiedFrom, cropped, margins, padded, pair } from "./moves.js";
import { normBackward, normForward, runningStatistics, statisticsOf } from "./normalization.js";
import {
  avgPoolBackward,
  avgPoolForward,
  globalAverage,
  largestOfChannel,
  maxPoolBackward,
  maxPoolForward,
} from "./pooling.js";
import { mapped, reshaped, zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./convolution.js").Gradients} Gradients */
/** @typedef {import("./window.js").Window} Window */

/**
 * A layer with its arrays; `branches` are the layers inside a block.
 * @typedef {{type: string, name: string, path: string, input: number[], output: number[],
 *   options: Record<string, any>, window: Window | null, params: Record<string, Tensor>,
 *   state: Record<string, Tensor>, branches: Layer[][]}} Layer
 */

/**
 * `backward` gets the input, the result, and the gradient for the result.
 * @typedef {{forward: (layer: Layer, x: Tensor) => Tensor,
 *   backward: (layer: Layer, x: Tensor, A: Tensor, dA: Tensor) => Gradients}} Operation
 */

/** @param {Layer} layer @returns {Window} */
function windowOf(layer) {
  if (!layer.window) throw new Error(`${layer.path} has no window`);
  return layer.window;
}

/** @param {Layer} layer */
function filtersOf(layer) {
  return { W: layer.params.W, b: layer.params.b };
}

/** @param {Tensor} dX @returns {Gradients} */
function without(dX) {
  return { dX, grads: {} };
}

/** @type {Operation} */
const convolution = {
  forward: (layer, x) => convForward(x, filtersOf(layer), windowOf(layer)),
  backward: (layer, x, _, dA) => convBackward(x, filtersOf(layer), windowOf(layer), dA),
};

/** @param {Layer} layer @param {Tensor} x */
function transposedParts(layer, x) {
  const stride = pair(layer.options.stride);
  const filters = { W: turned(layer.params.W), b: layer.params.b };
  return { stride, filters, wide: spread(x, windowOf(layer), stride) };
}

/** @type {Operation} */
const transposed = {
  forward: (layer, x) => {
    const { filters, wide } = transposedParts(layer, x);
    return convForward(wide, filters, windowOf(layer));
  },
  backward: (layer, x, _, dA) => {
    const { stride, filters, wide } = transposedParts(layer, x);
    const { dX, grads } = convBackward(wide, filters, windowOf(layer), dA);
    return {
      dX: gathered(dX, x.shape, stride),
      grads: { W: turned(grads.W), b: grads.b },
    };
  },
};

/** @type {Operation} */
const dense = {
  forward: ({ params: { W, b } }, x) => {
    const units = W.shape[1];
    const sums = Float64Array.from(b.data);
    for (let k = 0; k < x.data.length; k++) {
      const value = x.data[k];
      if (value === 0) continue;
      for (let u = 0; u < units; u++) sums[u] += value * W.data[k * units + u];
    }
    return { shape: [units], data: Float32Array.from(sums) };
  },
  backward: ({ params: { W } }, x, _, dA) => {
    const units = W.shape[1];
    const [dX, dW] = [zeros(x.shape), zeros(W.shape)];
    for (let k = 0; k < x.data.length; k++) {
      let sum = 0;
      for (let u = 0; u < units; u++) {
        sum += dA.data[u] * W.data[k * units + u];
        dW.data[k * units + u] = x.data[k] * dA.data[u];
      }
      dX.data[k] = sum;
    }
    return { dX, grads: { W: dW, b: mapped(dA, (gradient) => gradient) } };
  },
};

/** @type {Operation} */
const pointwise = {
  forward: ({ type, options }, x) => mapped(x, (z) => ACTIVATIONS[type].apply(z, options)),
  backward: ({ type, options }, x, A, dA) => {
    const { slope } = ACTIVATIONS[type];
    return without(mapped(dA, (d, k) => d * slope(x.data[k], A.data[k], options)));
  },
};

/** @param {Layer} layer @param {Tensor} x */
export function normalizationOf({ type, options, state }, x) {
  if (type === "batch_norm") {
    return runningStatistics(state.mean, state.variance, options.epsilon);
  }
  return statisticsOf(x, type === "group_norm" ? options.groups : 0, options.epsilon);
}

/** @type {Operation} */
const normalization = {
  forward: (layer, x) =>
    normForward(x, normalizationOf(layer, x), layer.params.scale, layer.params.shift),
  backward: (layer, x, _, dA) =>
    normBackward(x, normalizationOf(layer, x), layer.params.scale, dA),
};

/** @type {Operation} */
const reshape = {
  forward: (layer, x) => reshaped(x, layer.output),
  backward: (_, x, __, dA) => without(reshaped(dA, x.shape)),
};

/** @type {Operation} */
const upsample = {
  forward: (layer, x) => {
    const A = zeros(layer.output);
    const factor = pair(layer.options.factor);
    return mapped(A, (_, at) => x.data[copiedFrom(A.shape, factor, at)]);
  },
  backward: (layer, x, A, dA) => {
    const dX = zeros(x.shape);
    const factor = pair(layer.options.factor);
    dA.data.forEach((gradient, at) => (dX.data[copiedFrom(A.shape, factor, at)] += gradient));
    return without(dX);
  },
};

/** @type {Operation} */
const globalMax = {
  forward: (layer, x) =>
    mapped(zeros(layer.output), (_, c) => x.data[largestOfChannel(x, c)]),
  backward: (_, x, __, dA) => {
    const dX = zeros(x.shape);
    dA.data.forEach((gradient, c) => (dX.data[largestOfChannel(x, c)] = gradient));
    return without(dX);
  },
};

/** @type {Record<string, Operation>} */
export const LAYERS = {
  conv: convolution,
  depthwise_conv: convolution,
  pointwise_conv: convolution,
  transposed_conv: transposed,
  dense,
  max_pool: {
    forward: (layer, x) => maxPoolForward(x, windowOf(layer)),
    backward: (layer, x, _, dA) => without(maxPoolBackward(x, windowOf(layer), dA)),
  },
  avg_pool: {
    forward: (layer, x) => avgPoolForward(x, windowOf(layer)),
    backward: (layer, x, _, dA) => without(avgPoolBackward(x, windowOf(layer), dA)),
  },
  global_avg_pool: {
    forward: (_, x) => globalAverage(x),
    backward: (_, x, __, dA) => {
      const n_c = x.shape[2];
      return without(mapped(x, (___, at) => (dA.data[at % n_c] * n_c) / x.data.length));
    },
  },
  global_max_pool: globalMax,
  flatten: reshape,
  reshape,
  dropout: reshape, // does nothing but in training
  spatial_dropout: reshape,
  pad: {
    forward: ({ options }, x) => padded(x, margins(options.padding), options.value),
    backward: ({ options }, _, __, dA) => without(cropped(dA, margins(options.padding))),
  },
  crop: {
    forward: ({ options }, x) => cropped(x, margins(options.margin)),
    backward: ({ options }, _, __, dA) => without(padded(dA, margins(options.margin), 0)),
  },
  upsample,
  batch_norm: normalization,
  layer_norm: normalization,
  group_norm: normalization,
  softmax: {
    forward: (_, x) => softmax(x),
    backward: (_, __, A, dA) => without(softmaxBackward(A, dA, false)),
  },
  log_softmax: {
    forward: (_, x) => logSoftmax(x),
    backward: (_, __, A, dA) => without(softmaxBackward(A, dA, true)),
  },
  ...Object.fromEntries(Object.keys(ACTIVATIONS).map((name) => [name, pointwise])),
};
