// Arrays of numbers with a shape. Images are (rows, columns, channels), the last axis varies fastest.

/** @typedef {{shape: number[], data: Float32Array}} Tensor */

/**
 * @param {number[]} shape
 * @returns {number} How many numbers such a tensor has.
 */
export function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * @param {number[]} shape
 * @returns {Tensor} Zeros.
 */
export function zeros(shape) {
  return { shape, data: new Float32Array(sizeOf(shape)) };
}

/**
 * @param {number[]} shape
 * @param {ArrayLike<number>} values
 * @returns {Tensor}
 */
export function tensor(shape, values) {
  return { shape, data: Float32Array.from(values) };
}

/**
 * @param {Tensor} x
 * @param {number[]} shape
 * @returns {Tensor} The same numbers in another shape.
 */
export function reshaped(x, shape) {
  return { shape, data: x.data };
}

/**
 * @param {Tensor} x
 * @param {(value: number, at: number) => number} change
 * @returns {Tensor} A tensor of the same shape.
 */
export function mapped(x, change) {
  const data = new Float32Array(x.data.length);
  for (let k = 0; k < data.length; k++) data[k] = change(x.data[k], k);
  return { shape: x.shape, data };
}

/**
 * @param {Tensor} a
 * @param {Tensor} b
 * @returns {Tensor} The sum, value by value.
 */
export function added(a, b) {
  return mapped(a, (value, k) => value + b.data[k]);
}

/**
 * Split a flat index into one for each axis.
 * @param {number[]} shape
 * @param {number} at
 * @returns {number[]}
 */
export function unravel(shape, at) {
  const index = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(at % shape[axis]);
    at = Math.floor(at / shape[axis]);
  }
  return index;
}

/**
 * @param {ArrayLike<number>} values
 * @returns {number} The position of the largest value; of equal ones the first.
 */
export function argmax(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}

/**
 * @param {ArrayLike<number>} values
 * @returns {number} The root of the sum of squares.
 */
export function norm(values) {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += values[k] * values[k];
  return Math.sqrt(sum);
}

/**
 * @param {ArrayLike<number>} values
 * @returns {number} The largest distance from zero.
 */
export function reach(values) {
  let most = 0;
  for (let k = 0; k < values.length; k++) most = Math.max(most, Math.abs(values[k]));
  return most;
}
