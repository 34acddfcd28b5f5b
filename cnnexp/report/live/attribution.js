// Which pixels matter: the gradient for the image, and what happens when a patch is covered.

import { LOSSES } from "./losses.js";
import { backward, forward } from "./network.js";
import { zeros } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./losses.js").LossSpec} LossSpec */
/** @typedef {import("./network.js").Pass} Pass */
/** @typedef {import("./network.js").Backward} Backward */

/**
 * @param {Layer[]} layers
 * @param {LossSpec | null} loss
 * @returns {Layer[]} The layers without a last one that is computed with the loss.
 */
export function beforeLoss(layers, loss) {
  const last = layers[layers.length - 1].type;
  const fuses = loss ? loss.fuses : ["softmax", "sigmoid", "log_softmax"].find((t) => t === last);
  return fuses === last ? layers.slice(0, -1) : layers;
}

/**
 * @param {Layer[]} layers
 * @param {Pass} pass
 * @returns {Tensor} What the last of some layers gave.
 */
export function resultOf(layers, pass) {
  const last = layers[layers.length - 1];
  return /** @type {Tensor} */ (last ? pass.outputs.get(last.path) : pass.input);
}

/**
 * @param {Layer[]} layers
 * @param {LossSpec} loss
 * @param {Pass} pass
 * @param {number} y The class.
 * @returns {{value: number, gradients: Backward}} The loss, and its gradients.
 */
export function lossGradients(layers, loss, pass, y) {
  const inner = beforeLoss(layers, loss);
  const { value, dZ } = LOSSES[loss.name](resultOf(inner, pass), y, loss.options);
  return { value, gradients: backward(inner, pass, dZ) };
}

/**
 * @param {Layer[]} layers
 * @param {LossSpec | null} loss
 * @param {Pass} pass
 * @param {number} y The class.
 * @returns {Backward} The gradients of the logit of a class; for the image it is the saliency.
 */
export function logitGradients(layers, loss, pass, y) {
  const inner = beforeLoss(layers, loss);
  const dZ = zeros(resultOf(inner, pass).shape);
  dZ.data[y] = 1;
  return backward(inner, pass, dZ);
}

/**
 * @param {number[]} shape Of the image.
 * @param {number} size Of the patch, in pixels.
 * @param {number} step Pixels from one patch to the next.
 * @returns {[number, number][]} The upper left corners of all patches.
 */
export function patches([ih, iw], size, step) {
  /** @type {[number, number][]} */
  const corners = [];
  for (let top = 1 - size; top < ih; top += step) {
    for (let left = 1 - size; left < iw; left += step) corners.push([top, left]);
  }
  return corners;
}

/**
 * @param {Tensor} image
 * @param {[number, number]} corner
 * @param {number} size
 * @param {number} value
 * @returns {Tensor} The image with one patch covered.
 */
export function covered(image, [top, left], size, value) {
  const [ih, iw, n_c] = image.shape;
  const data = image.data.slice();
  for (let h = Math.max(top, 0); h < Math.min(top + size, ih); h++) {
    const first = (h * iw + Math.max(left, 0)) * n_c;
    data.fill(value, first, (h * iw + Math.min(left + size, iw)) * n_c);
  }
  return { shape: image.shape, data };
}

/**
 * Cover patch after patch, and note how much the output of a class falls.
 * @param {Layer[]} layers
 * @param {Tensor} image
 * @param {number} y The class.
 * @param {{size: number, step: number, value: number}} patch
 * @returns {Generator<Tensor, Tensor>} The map so far (rows, columns), after each patch.
 */
export function* occlusion(layers, image, y, { size, step, value }) {
  const [ih, iw] = image.shape;
  const whole = forward(layers, image).output.data[y];
  const [sums, counts] = [zeros([ih, iw]), new Uint16Array(ih * iw)];
  const map = zeros([ih, iw]);
  for (const [top, left] of patches(image.shape, size, step)) {
    const fall = whole - forward(layers, covered(image, [top, left], size, value)).output.data[y];
    for (let h = Math.max(top, 0); h < Math.min(top + size, ih); h++) {
      for (let w = Math.max(left, 0); w < Math.min(left + size, iw); w++) {
        sums.data[h * iw + w] += fall;
        map.data[h * iw + w] = sums.data[h * iw + w] / ++counts[h * iw + w];
      }
    }
    yield map;
  }
  return map;
}
