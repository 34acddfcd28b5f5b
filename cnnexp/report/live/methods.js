// The same convolution by four loops, im2col and stride groups, as steps that can be shown.

import { paddedSize, positions, strideGroups } from "./window.js";

/** @typedef {import("./window.js").Window} Window */
/** @typedef {[number, number]} Position A row and a column. */
/** @typedef {"loops" | "im2col" | "groups"} Method */

/**
 * One iteration of a method: the positions of the window that it computes or copies, and how many
 * outputs are there afterwards. `sample` and `filter` say which, where an iteration is of one only.
 * @typedef {{positions: Position[], products: number, copies: boolean, says: string,
 *   sample: number | null, filter: number | null}} Step
 */
/** @typedef {{samples: number, filters: number}} Sizes */
/** @typedef {{iterations: number, products: number}} Counts */

/** @param {Window} window @returns {Position[]} All positions, row by row. */
export function allPositions(window) {
  const [oh, ow] = [positions(window.rows), positions(window.cols)];
  return Array.from({ length: oh * ow }, (_, k) => [Math.floor(k / ow), k % ow]);
}

/**
 * @param {Window} window
 * @returns {Position[][]} The positions of each stride group.
 */
export function groupPositions(window) {
  return strideGroups(window).map(([rows, cols]) =>
    Array.from({ length: rows.count * cols.count }, (_, k) => [
      rows.first + Math.floor(k / cols.count) * rows.step,
      cols.first + (k % cols.count) * cols.step,
    ])
  );
}

/**
 * @param {Method} method
 * @param {Window} window
 * @param {Sizes} sizes
 * @returns {Counts} Python iterations and matrix products of a forward pass.
 */
export function countsOf(method, window, { samples, filters }) {
  const out = positions(window.rows) * positions(window.cols);
  if (method === "loops") return { iterations: samples * out * filters, products: 0 };
  if (method === "im2col") return { iterations: 0, products: 1 };
  const groups = strideGroups(window).length;
  return { iterations: groups, products: groups };
}

/**
 * @param {Window} window
 * @param {Sizes} sizes
 * @returns {Step[]}
 */
function loopSteps(window, { samples, filters }) {
  const steps = [];
  for (let sample = 0; sample < samples; sample++) {
    for (const [h, w] of allPositions(window)) {
      for (let filter = 0; filter < filters; filter++) {
        const says = `Sample ${sample}, row ${h}, column ${w}, filter ${filter}: one output.`;
        /** @type {Position[]} */
        const at = [[h, w]];
        steps.push({ positions: at, products: 0, copies: false, says, sample, filter });
      }
    }
  }
  return steps;
}

/** @param {Window} window @returns {Step[]} */
function im2colSteps(window) {
  const all = allPositions(window);
  const row = window.rows.width * window.cols.width;
  return [
    {
      positions: all,
      products: 0,
      copies: true,
      says: `NumPy copies every window into a row of a matrix: ${all.length} rows of ${row} pixels per sample.`,
      sample: null,
      filter: null,
    },
    {
      positions: all,
      products: 1,
      copies: false,
      says: "One matrix product gives all outputs.",
      sample: null,
      filter: null,
    },
  ];
}

/** @param {Window} window @returns {Step[]} */
function groupSteps(window) {
  const groups = groupPositions(window);
  return groups.map((members, k) => ({
    positions: members,
    products: 1,
    copies: false,
    says: `Group ${k + 1} of ${groups.length}: ${members.length} window${members.length === 1 ? "" : "s that do not overlap"}, one slice of the image, one matrix product.`,
    sample: null,
    filter: null,
  }));
}

/**
 * @param {Method} method
 * @param {Window} window
 * @param {Sizes} sizes
 * @returns {Step[]}
 */
export function stepsOf(method, window, sizes) {
  if (method === "loops") return loopSteps(window, sizes);
  return method === "im2col" ? im2colSteps(window) : groupSteps(window);
}

/**
 * @param {Window} window
 * @param {ArrayLike<number>} image Pixels, row by row.
 * @param {ArrayLike<number>} filter Weights, row by row.
 * @param {Position} position
 * @returns {number} The output at a position of the window.
 */
export function outputAt({ rows, cols }, image, filter, [h, w]) {
  let sum = 0;
  for (let a = 0; a < rows.width; a++) {
    for (let b = 0; b < cols.width; b++) {
      const [row, col] = [h * rows.stride + a - rows.before, w * cols.stride + b - cols.before];
      if (row < 0 || col < 0 || row >= rows.size || col >= cols.size) continue;
      sum += image[row * cols.size + col] * filter[a * cols.width + b];
    }
  }
  return sum;
}

/**
 * @param {Window} window
 * @returns {Position} Rows and columns of the image with its padding.
 */
export function paddedShape({ rows, cols }) {
  return [paddedSize(rows), paddedSize(cols)];
}
