// A network: layers in a row or in blocks. A pass keeps what goes in and out of every layer.

import { LAYERS } from "./layers.js";
import { added, zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./layers.js").Layer} Layer */

/**
 * What a forward pass computed, by the paths of layers; `sources` names the layer whose result
 * a layer gets, or "input".
 * @typedef {{input: Tensor, output: Tensor, inputs: Map<string, Tensor>,
 *   outputs: Map<string, Tensor>, sources: Map<string, string>}} Pass
 */
/**
 * What a backward pass computed: for each layer the gradient for its result, for each parameter
 * its own, and the one for the image.
 * @typedef {{image: Tensor, results: Map<string, Tensor>, params: Map<string, Tensor>}} Backward
 */

/** Blocks: how the results of their branches are joined. */
export const BLOCKS = ["block", "separable_conv", "residual", "concat"];

/** @param {Layer} layer @returns {boolean} Whether its result is that of its last layer. */
export function isChain(layer) {
  return layer.type === "block" || layer.type === "separable_conv";
}

/** @param {Tensor[]} results @returns {Tensor} Their channels side by side. */
function concatenated(results) {
  const sizes = results.map(({ shape }) => shape[shape.length - 1]);
  const total = sizes.reduce((a, b) => a + b);
  const A = zeros([...results[0].shape.slice(0, -1), total]);
  let first = 0;
  results.forEach(({ data }, k) => {
    for (let from = 0, to = first; from < data.length; from += sizes[k], to += total) {
      A.data.set(data.subarray(from, from + sizes[k]), to);
    }
    first += sizes[k];
  });
  return A;
}

/** @param {Tensor} dA @param {Tensor[]} results @returns {Tensor[]} The channels of each branch. */
function separated(dA, results) {
  const total = dA.shape[dA.shape.length - 1];
  let first = 0;
  return results.map(({ shape }) => {
    const part = zeros(shape);
    const size = shape[shape.length - 1];
    for (let to = 0, from = first; to < part.data.length; to += size, from += total) {
      part.data.set(dA.data.subarray(from, from + size), to);
    }
    first += size;
    return part;
  });
}

/**
 * @param {Layer[]} layers
 * @param {Tensor} x
 * @param {string} source The layer that gave x.
 * @param {Pass} pass Is filled.
 * @returns {Tensor}
 */
function forwardThrough(layers, x, source, pass) {
  for (const layer of layers) {
    pass.inputs.set(layer.path, x);
    pass.sources.set(layer.path, source);
    if (layer.branches.length) {
      const results = layer.branches.map((branch) => forwardThrough(branch, x, source, pass));
      if (layer.type === "concat") x = concatenated(results);
      else x = results.reduce(added);
    } else {
      x = LAYERS[layer.type].forward(layer, x);
    }
    pass.outputs.set(layer.path, x);
    source = layer.path;
  }
  return x;
}

/**
 * @param {Layer[]} layers
 * @param {Tensor} image
 * @returns {Pass}
 */
export function forward(layers, image) {
  /** @type {Pass} */
  const pass = {
    input: image,
    output: image,
    inputs: new Map(),
    outputs: new Map([["input", image]]),
    sources: new Map(),
  };
  pass.output = forwardThrough(layers, image, "input", pass);
  return pass;
}

/**
 * @param {Layer[]} layers
 * @param {Tensor} dA
 * @param {Pass} pass
 * @param {Backward} found Is filled.
 * @returns {Tensor} The gradient for what went into the first layer.
 */
function backwardThrough(layers, dA, pass, found) {
  for (const layer of [...layers].reverse()) {
    const x = /** @type {Tensor} */ (pass.inputs.get(layer.path));
    const A = /** @type {Tensor} */ (pass.outputs.get(layer.path));
    found.results.set(layer.path, dA);
    if (layer.branches.length) {
      dA = backwardThroughBranches(layer, x, dA, pass, found);
      continue;
    }
    const { dX, grads } = LAYERS[layer.type].backward(layer, x, A, dA);
    for (const [name, gradient] of Object.entries(grads)) {
      found.params.set(`${layer.path}.${name}`, gradient);
    }
    dA = dX;
  }
  return dA;
}

/**
 * @param {Layer} layer A block.
 * @param {Tensor} x
 * @param {Tensor} dA
 * @param {Pass} pass
 * @param {Backward} found
 * @returns {Tensor}
 */
function backwardThroughBranches(layer, x, dA, pass, found) {
  const results = layer.branches.map(
    (branch) => (branch.length && pass.outputs.get(branch[branch.length - 1].path)) || x
  );
  const parts = layer.type === "concat" ? separated(dA, results) : results.map(() => dA);
  return layer.branches
    .map((branch, k) => backwardThrough(branch, parts[k], pass, found))
    .reduce(added);
}

/**
 * @param {Layer[]} layers The layers that the gradient goes through, from the first one on.
 * @param {Pass} pass
 * @param {Tensor} dA The gradient for the result of the last of them.
 * @returns {Backward}
 */
export function backward(layers, pass, dA) {
  /** @type {Backward} */
  const found = { image: dA, results: new Map(), params: new Map() };
  found.image = backwardThrough(layers, dA, pass, found);
  found.results.set("input", found.image);
  return found;
}

/**
 * @param {Layer[]} layers
 * @returns {Layer[]} All layers, those inside a block before the block itself.
 */
export function everyLayer(layers) {
  return layers.flatMap((layer) => [...layer.branches.flatMap(everyLayer), layer]);
}
