// Where one value of a feature map comes from: the terms that it is made of.

import { ACTIVATIONS } from "./activations.js";
import { turned } from "./convolution.js";
import { normalizationOf } from "./layers.js";
import { copiedFrom, margins, pair } from "./moves.js";
import { largestOfChannel, largestUnder } from "./pooling.js";
import { unravel } from "./tensor.js";
import { eachPixel, positions } from "./window.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./network.js").Pass} Pass */

/**
 * A value that another one is made of. `at`: its flat index in the result of the layer `path`;
 * `weight`: what it is multiplied with; `product`: what it adds.
 * @typedef {{path: string, at: number, value: number, weight: number, product: number}} Term
 */
/**
 * The value is `outside(sum of products + constant)`. `window` is the part of the source that the
 * terms are in, `steps` the arithmetic in words and numbers.
 * @typedef {{path: string, at: number, value: number, terms: Term[], constant: number,
 *   outside: (sum: number) => number, formula: string, steps: [string, number][],
 *   isMean: boolean}} Explanation
 */

/** @param {number} sum */
const same = (sum) => sum;

/**
 * @typedef {{terms: Term[], constant?: number, outside?: (sum: number) => number,
 *   formula: string, steps?: [string, number][], isMean?: boolean}} Parts
 */
/** @typedef {(layer: Layer, x: Tensor, at: number, source: string) => Parts} Explain */

/**
 * @param {string} path
 * @param {Tensor} x
 * @param {number} at
 * @param {number} [weight]
 * @returns {Term}
 */
function term(path, x, at, weight = 1) {
  return { path, at, value: x.data[at], weight, product: x.data[at] * weight };
}

/** @type {Explain} */
function explainConvolution(layer, x, at, source) {
  const window = /** @type {import("./window.js").Window} */ (layer.window);
  const { W, b } = layer.params;
  const n_f = W.shape[3];
  const f = at % n_f;
  const position = Math.floor(at / n_f);
  const ow = positions(window.cols);
  const perGroup = W.shape[2];
  const first = Math.floor((f * (x.shape[2] / perGroup)) / n_f) * perGroup;
  /** @type {Term[]} */
  const terms = [];
  eachPixel(window, Math.floor(position / ow), position % ow, (row, col, a, b_) => {
    for (let c = 0; c < perGroup; c++) {
      const weight = W.data[((a * W.shape[1] + b_) * perGroup + c) * n_f + f];
      terms.push(term(source, x, (row * x.shape[1] + col) * x.shape[2] + first + c, weight));
    }
  });
  const constant = b.data[f];
  const isCut = terms.length < W.data.length / n_f;
  const formula = `sum of pixel · weight, plus bias${isCut ? "; padding adds nothing" : ""}`;
  return { terms, constant, formula, steps: [["bias", constant]] };
}

/** @type {Explain} */
function explainTransposed(layer, x, at, source) {
  const window = /** @type {import("./window.js").Window} */ (layer.window);
  const [s_h, s_w] = pair(layer.options.stride);
  const W = turned(layer.params.W);
  const [, f_w, n_c, n_f] = W.shape;
  const [h, w, f] = unravel(layer.output, at);
  /** @type {Term[]} */
  const terms = [];
  eachPixel(window, h, w, (row, col, a, b) => {
    const [ih, iw] = [row / s_h, col / s_w];
    if (!Number.isInteger(ih) || !Number.isInteger(iw)) return;
    if (ih >= x.shape[0] || iw >= x.shape[1]) return;
    for (let c = 0; c < n_c; c++) {
      const weight = W.data[((a * f_w + b) * n_c + c) * n_f + f];
      terms.push(term(source, x, (ih * x.shape[1] + iw) * n_c + c, weight));
    }
  });
  const constant = layer.params.b.data[f];
  return {
    terms,
    constant,
    formula: "sum of pixel · weight, for the pixels that reach here, plus bias",
    steps: [["bias", constant]],
  };
}

/** @type {Explain} */
function explainDense(layer, x, at, source) {
  const { W, b } = layer.params;
  const units = W.shape[1];
  const terms = Array.from(x.data, (_, k) => term(source, x, k, W.data[k * units + at]));
  return {
    terms,
    constant: b.data[at],
    formula: "sum of input · weight, plus bias",
    steps: [["bias", b.data[at]]],
  };
}

/** @type {Explain} */
function explainMaximum(layer, x, at, source) {
  if (!layer.window) {
    return { terms: [term(source, x, largestOfChannel(x, at))], formula: "largest of the channel" };
  }
  const [h, w, c] = unravel(layer.output, at);
  const best = largestUnder(x, layer.window, h, w, c);
  /** @type {Term[]} */
  const terms = [];
  eachPixel(layer.window, h, w, (row, col) => {
    const k = (row * x.shape[1] + col) * x.shape[2] + c;
    terms.push(term(source, x, k, k === best ? 1 : 0));
  });
  const equal = terms.filter(({ value }) => value === x.data[best]).length;
  const tie = equal > 1 ? `; of ${equal} equal ones the first is taken` : "";
  return { terms, formula: `largest value under the window${tie}` };
}

/** @type {Explain} */
function explainMean(layer, x, at, source) {
  /** @type {Term[]} */
  const terms = [];
  if (!layer.window) {
    const n_c = x.shape[2];
    for (let k = at; k < x.data.length; k += n_c) {
      terms.push(term(source, x, k, n_c / x.data.length));
    }
    return meanOf(terms, terms.length, "mean of the channel");
  }
  const [h, w, c] = unravel(layer.output, at);
  const size = layer.window.rows.width * layer.window.cols.width;
  eachPixel(layer.window, h, w, (row, col) => {
    terms.push(term(source, x, (row * x.shape[1] + col) * x.shape[2] + c, 1 / size));
  });
  const padding = terms.length < size ? "; padding counts as zeros" : "";
  return meanOf(terms, size, `mean of the values under the window${padding}`);
}

/** @param {Term[]} terms @param {number} size @param {string} formula @returns {Parts} */
function meanOf(terms, size, formula) {
  const sum = terms.reduce((total, { value }) => total + value, 0);
  return { terms, formula, steps: [["sum", sum], ["divided by", size]], isMean: true };
}

/** @type {Explain} */
function explainActivation({ type, options }, x, at, source) {
  const { apply, formula } = ACTIVATIONS[type];
  return { terms: [term(source, x, at)], outside: (z) => apply(z, options), formula };
}

/** @type {Explain} */
function explainNormalization(layer, x, at, source) {
  const { part, mean, deviation } = normalizationOf(layer, x);
  const channel = at % layer.params.scale.data.length;
  const [scale, shift] = [layer.params.scale.data[channel], layer.params.shift.data[channel]];
  const k = part(at);
  const running = layer.type === "batch_norm" ? "running " : "";
  return {
    terms: [term(source, x, at, scale / deviation[k])],
    constant: shift - (mean[k] * scale) / deviation[k],
    formula: "(value − mean) / standard deviation · scale + shift",
    steps: [
      [`${running}mean`, mean[k]],
      [`${running}standard deviation`, deviation[k]],
      ["scale", scale],
      ["shift", shift],
    ],
  };
}

/** @type {Explain} */
function explainSoftmax({ type }, x, at, source) {
  const width = x.shape[x.shape.length - 1];
  const start = at - (at % width);
  const row = Array.from(x.data.subarray(start, start + width));
  const z = row[at - start];
  const m = Math.max(...row);
  const total = row.reduce((sum, one) => sum + Math.exp(one - m), 0);
  const outside = () => (type === "softmax" ? Math.exp(z - m) / total : z - m - Math.log(total));
  const terms = row.map((_, k) => term(source, x, start + k, k === at - start ? 1 : 0));
  const formula =
    type === "softmax" ? "exp(z − m) / sum of exp(z − m)" : "z − m − log of the sum of exp(z − m)";
  return {
    terms,
    outside,
    formula: `${formula}, where m is the largest z`,
    steps: [
      ["z", z],
      ["m", m],
      ["exp(z − m)", Math.exp(z - m)],
      ["sum of exp(z − m)", total],
    ],
  };
}

/** @type {Explain} */
function explainCopy(layer, x, at, source) {
  const n_c = x.shape[x.shape.length - 1];
  let from = at;
  if (layer.type === "upsample") {
    from = copiedFrom(layer.output, pair(layer.options.factor), at);
  } else if (layer.type === "pad" || layer.type === "crop") {
    const sign = layer.type === "pad" ? -1 : 1;
    const [[top], [left]] = margins(layer.options.padding ?? layer.options.margin);
    const [h, w, c] = unravel(layer.output, at);
    const [row, col] = [h + sign * top, w + sign * left];
    const inside = row >= 0 && col >= 0 && row < x.shape[0] && col < x.shape[1];
    if (!inside) return { terms: [], constant: layer.options.value, formula: "margin" };
    from = (row * x.shape[1] + col) * n_c + c;
  }
  return { terms: [term(source, x, from)], formula: "the same number" };
}

/** @type {Record<string, Explain>} */
const EXPLAIN = {
  conv: explainConvolution,
  depthwise_conv: explainConvolution,
  pointwise_conv: explainConvolution,
  transposed_conv: explainTransposed,
  dense: explainDense,
  max_pool: explainMaximum,
  global_max_pool: explainMaximum,
  avg_pool: explainMean,
  global_avg_pool: explainMean,
  batch_norm: explainNormalization,
  layer_norm: explainNormalization,
  group_norm: explainNormalization,
  softmax: explainSoftmax,
  log_softmax: explainSoftmax,
  ...Object.fromEntries(Object.keys(ACTIVATIONS).map((name) => [name, explainActivation])),
};

/**
 * @param {Layer} layer A block.
 * @param {Pass} pass
 * @param {number} at
 * @returns {Parts}
 */
function explainBlock(layer, pass, at) {
  const source = /** @type {string} */ (pass.sources.get(layer.path));
  const ends = layer.branches.map((branch) => branch[branch.length - 1]?.path ?? source);
  const results = ends.map((path) => /** @type {Tensor} */ (pass.outputs.get(path)));
  if (layer.type !== "concat") {
    const terms = ends.map((path, k) => term(path, results[k], at));
    return { terms, formula: terms.length > 1 ? "layers + shortcut" : "the same number" };
  }
  const total = layer.output[layer.output.length - 1];
  let channel = at % total;
  let branch = 0;
  const size = (/** @type {number} */ k) => results[k].shape[results[k].shape.length - 1];
  while (channel >= size(branch)) channel -= size(branch++);
  const from = Math.floor(at / total) * size(branch) + channel;
  return { terms: [term(ends[branch], results[branch], from)], formula: `branch ${branch + 1}` };
}

/**
 * @param {Layer} layer
 * @param {Pass} pass
 * @param {number} at The flat index of the value in the layer's result.
 * @returns {Explanation}
 */
export function explain(layer, pass, at) {
  const x = /** @type {Tensor} */ (pass.inputs.get(layer.path));
  const source = /** @type {string} */ (pass.sources.get(layer.path));
  const value = /** @type {Tensor} */ (pass.outputs.get(layer.path)).data[at];
  const parts = layer.branches.length
    ? explainBlock(layer, pass, at)
    : (EXPLAIN[layer.type] ?? explainCopy)(layer, x, at, source);
  const whole = { constant: 0, outside: same, steps: [], isMean: false, ...parts };
  return { path: layer.path, at, value, ...whole };
}

/**
 * @param {Explanation} explanation
 * @returns {number} What the terms give, to be compared with the value.
 */
export function recomputed({ terms, constant, outside }) {
  return outside(terms.reduce((sum, { product }) => sum + product, constant));
}

/**
 * @param {Explanation} explanation
 * @returns {Term | undefined} The term that adds most, to follow a value back to the pixels.
 */
export function strongest({ terms }) {
  return [...terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product))[0];
}
