// What the page carries: the network, its weights, and images, as JSON and base64.

import { sizeOf } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./losses.js").LossSpec} LossSpec */

/**
 * An image of the test set. `label`: its class; `said`: the class that the network gives it.
 * @typedef {{number: number, label: number, said: number, probability: number}} SampleFacts
 */
/**
 * The weights after an epoch, and what the log says of it; `values` are base64.
 * @typedef {{epoch: number, values: string, train_loss: number | null, test_loss: number | null,
 *   test_error: number | null}} Epoch
 */
/**
 * How a drawing becomes an image: the values of no ink and of full ink, and how large a figure is.
 * `share` is null where the data set does not place figures.
 * @typedef {{low: number, high: number, share: number | null}} Drawing
 */
/**
 * @typedef {{title: string, facts: string[], classes: string[], shape: number[],
 *   probabilities: boolean, layers: any[], loss: LossSpec | null,
 *   weights: {format: string, values: string},
 *   epochs: {format: string, all: Epoch[]},
 *   images: {palette: number[] | null, values: string, facts: SampleFacts[], mistakes: number},
 *   drawing: Drawing | null, version: string}} Payload
 */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * @param {string} text Base64.
 * @returns {Uint8Array}
 */
export function bytesOf(text) {
  const codes = new Uint8Array(128);
  for (let k = 0; k < 64; k++) codes[ALPHABET.charCodeAt(k)] = k;
  const length = text.length ? (text.length / 4) * 3 - (text.match(/=*$/) ?? [""])[0].length : 0;
  const bytes = new Uint8Array(length);
  for (let from = 0, to = 0; from < text.length; from += 4, to += 3) {
    let word = 0;
    for (let k = 0; k < 4; k++) word = (word << 6) | codes[text.charCodeAt(from + k)];
    for (let k = 0; k < 3 && to + k < length; k++) bytes[to + k] = word >> (16 - 8 * k);
  }
  return bytes;
}

/**
 * @param {number} bits A number of 16 bits, as IEEE 754 has it.
 * @returns {number}
 */
export function halfValue(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * @param {string} text Base64 of little-endian numbers.
 * @param {string} format "float32" or "float16".
 * @returns {Float32Array}
 */
export function numbersOf(text, format) {
  const bytes = bytesOf(text);
  const view = new DataView(bytes.buffer);
  const size = format === "float16" ? 2 : 4;
  const values = new Float32Array(bytes.length / size);
  for (let k = 0; k < values.length; k++) {
    if (size === 4) values[k] = view.getFloat32(4 * k, true);
    else values[k] = halfValue(view.getUint16(2 * k, true));
  }
  return values;
}

/**
 * @param {Payload["images"]} images
 * @param {number[]} shape Of one image.
 * @returns {Tensor[]}
 */
export function imagesOf({ palette, values, facts }, shape) {
  const size = sizeOf(shape);
  const codes = palette ? bytesOf(values) : null;
  const all = codes
    ? Float32Array.from(codes, (code) => /** @type {number[]} */ (palette)[code])
    : numbersOf(values, "float32");
  return facts.map((_, k) => ({ shape, data: all.slice(k * size, (k + 1) * size) }));
}

/**
 * Make layers from their description; arrays are cut from one vector, in the order of the layers.
 * @param {any[]} described
 * @param {Float32Array} values
 * @returns {Layer[]}
 */
export function layersOf(described, values) {
  let at = 0;
  /** @param {Record<string, number[]>} shapes */
  const arrays = (shapes) => {
    /** @type {Record<string, Tensor>} */
    const found = {};
    for (const [name, shape] of Object.entries(shapes)) {
      const size = sizeOf(shape);
      found[name] = { shape, data: values.subarray(at, at + size) };
      at += size;
    }
    return found;
  };
  /** @param {any} layer @returns {Layer} */
  const make = (layer) => ({
    ...layer,
    params: arrays(layer.params),
    state: arrays(layer.state),
    branches: layer.branches.map((/** @type {any[]} */ branch) => branch.map(make)),
  });
  const layers = described.map(make);
  if (at !== values.length) throw new Error(`${values.length} weights for ${at} places`);
  return layers;
}
