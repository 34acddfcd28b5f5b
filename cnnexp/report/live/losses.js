// Losses of one image and a class: the value, and the gradient for the outputs that it is given.

import { logSoftmax, sigmoid, softmax } from "./activations.js";
import { mapped } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {{name: string, fuses: string, options: Record<string, any>}} LossSpec */
/** @typedef {{value: number, dZ: Tensor}} LossResult */

/** @param {Tensor} Z @param {(z: number, target: number) => [number, number]} each */
function ofOutputs(Z, each) {
  return (/** @type {number} */ y) => {
    const pairs = Array.from(Z.data, (z, k) => each(z, k === y ? 1 : 0));
    const value = pairs.reduce((sum, [loss]) => sum + loss, 0) / pairs.length;
    return { value, dZ: mapped(Z, (_, k) => pairs[k][1] / pairs.length) };
  };
}

/** @type {Record<string, (Z: Tensor, y: number, options: Record<string, any>) => LossResult>} */
export const LOSSES = {
  cross_entropy: (Z, y, { label_smoothing, class_weights }) => {
    const n = Z.data.length;
    const wanted = Array.from(Z.data, (_, k) => {
      const target = label_smoothing / n + (k === y ? 1 - label_smoothing : 0);
      return target * (class_weights ? class_weights[k] : 1);
    });
    const [p, logs] = [softmax(Z), logSoftmax(Z)];
    const total = wanted.reduce((a, b) => a + b);
    const value = -wanted.reduce((sum, target, k) => sum + target * logs.data[k], 0);
    return { value, dZ: mapped(p, (probability, k) => probability * total - wanted[k]) };
  },
  focal: (Z, y, { gamma }) => {
    const [p, log] = [softmax(Z), logSoftmax(Z).data[y]];
    const wrong = -Math.expm1(log);
    const slope = gamma && wrong > 0 ? gamma * wrong ** (gamma - 1) * p.data[y] * log : 0;
    const factor = wrong ** gamma - slope;
    return {
      value: -(wrong ** gamma) * log,
      dZ: mapped(p, (probability, k) => (probability - (k === y ? 1 : 0)) * factor),
    };
  },
  hinge: (Z, y, { margin }) => {
    const n = Z.data.length;
    const short = Array.from(Z.data, (z, k) => (k === y ? 0 : Math.max(margin - Z.data[y] + z, 0)));
    const beyond = short.filter((s) => s > 0).length;
    return {
      value: short.reduce((a, b) => a + b, 0) / n,
      dZ: mapped(Z, (_, k) => (k === y ? -beyond : short[k] > 0 ? 1 : 0) / n),
    };
  },
  binary_cross_entropy: (Z, y) =>
    ofOutputs(Z, (z, t) => [
      Math.max(z, 0) - z * t + Math.log1p(Math.exp(-Math.abs(z))),
      sigmoid(z) - t,
    ])(y),
  mean_squared_error: (Z, y) => ofOutputs(Z, (z, t) => [(z - t) ** 2, 2 * (z - t)])(y),
  mean_absolute_error: (Z, y) =>
    ofOutputs(Z, (z, t) => [Math.abs(z - t), Math.sign(z - t)])(y),
  huber: (Z, y, { delta }) =>
    ofOutputs(Z, (z, t) => {
      const d = Math.abs(z - t);
      const value = d <= delta ? d ** 2 / 2 : delta * (d - delta / 2);
      return [value, Math.max(-delta, Math.min(delta, z - t))];
    })(y),
};
