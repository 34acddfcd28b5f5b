// The same convolution by four loops, shifted slices, im2col and stride groups, as steps that can be shown.

import { paddedSize, positions, strideGroups } from "./window.js";

/** @typedef {import("./window.js").Window} Window */
/** @typedef {[number, number]} Position A row and a column. */
/** @typedef {"loops" | "shifted" | "im2col" | "groups"} Method */

/**
 * One iteration of a method: the positions of the window that it computes or copies, and how many
 * outputs are there afterwards. `sample`, `filter` and `element` (of the filter) say which, where an
 * iteration is of one only.
 * @typedef {{positions: Position[], products: number, copies: boolean, says: string,
 *   sample: number | null, filter: number | null, element: number | null}} Step
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
  const elements = window.rows.width * window.cols.width;
  if (method === "shifted") return { iterations: elements, products: elements };
  const groups = strideGroups(window).length;
  return { iterations: groups, products: groups };
}

/**
 * @param {Method} method
 * @param {Window} window
 * @param {Sizes} sizes
 * @returns {number} Numbers that the largest step has to keep: the pixels of its windows, or, of
 *   shifted slices, its products.
 */
export function workspaceOf(method, window, { samples }) {
  const elements = window.rows.width * window.cols.width;
  const out = positions(window.rows) * positions(window.cols);
  if (method === "loops") return elements;
  if (method === "shifted") return samples * out;
  if (method === "im2col") return samples * out * elements;
  return samples * elements * Math.max(...groupPositions(window).map(({ length }) => length));
}

const WHOLE = { copies: false, sample: null, filter: null, element: null };

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
        steps.push({ ...WHOLE, positions: at, products: 0, says, sample, filter });
      }
    }
  }
  return steps;
}

/**
 * @param {Window} window
 * @param {number} k An element of the filter, row by row.
 * @returns {string} A letter; where there are too many of them, its row and column.
 */
export function elementName({ rows, cols }, k) {
  if (rows.width * cols.width <= 26) return String.fromCharCode(65 + k);
  return `row ${Math.floor(k / cols.width)}, column ${k % cols.width}`;
}

/** @param {Window} window @returns {Step[]} */
function shiftedSteps(window) {
  const elements = window.rows.width * window.cols.width;
  return Array.from({ length: elements }, (_, element) => ({
    ...WHOLE,
    positions: allPositions(window),
    products: 1,
    says: `Element ${elementName(window, element)} (${element + 1} of ${elements}) times the pixels that it meets at all positions, one slice of every sample, added to the output.`,
    element,
  }));
}

/** @param {Window} window @returns {Step[]} */
function im2colSteps(window) {
  const all = allPositions(window);
  const size = window.rows.width * window.cols.width;
  const copied = `NumPy copies every window into a column of a matrix: ${all.length} columns of ${size} pixels for each sample.`;
  const product = "One matrix product gives all outputs.";
  return [
    { ...WHOLE, positions: all, products: 0, copies: true, says: copied },
    { ...WHOLE, positions: all, products: 1, says: product },
  ];
}

/** @param {Window} window @returns {Step[]} */
function groupSteps(window) {
  const groups = groupPositions(window);
  return groups.map((members, k) => ({
    ...WHOLE,
    positions: members,
    products: 1,
    says: `Group ${k + 1} of ${groups.length}: ${members.length} window${members.length === 1 ? "" : "s that do not overlap"} in each sample: one slice, one reshape, one matrix product.`,
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
  if (method === "shifted") return shiftedSteps(window);
  return method === "im2col" ? im2colSteps(window) : groupSteps(window);
}

/**
 * @param {Window} window
 * @param {ArrayLike<number>} image Pixels, row by row.
 * @param {Position} position
 * @returns {number[]} The pixels under the window, row by row; 0 where that is padding.
 */
export function pixelsUnder({ rows, cols }, image, [h, w]) {
  return Array.from({ length: rows.width * cols.width }, (_, k) => {
    const row = h * rows.stride + Math.floor(k / cols.width) - rows.before;
    const col = w * cols.stride + (k % cols.width) - cols.before;
    const inside = row >= 0 && col >= 0 && row < rows.size && col < cols.size;
    return inside ? image[row * cols.size + col] : 0;
  });
}

/**
 * @param {Window} window
 * @param {ArrayLike<number>} image Pixels, row by row.
 * @param {ArrayLike<number>} filter Weights, row by row.
 * @param {Position} position
 * @param {number} [elements] Of the filter that are added so far; all where it is left out.
 * @returns {number} The output at a position of the window.
 */
export function outputAt(window, image, filter, position, elements = filter.length) {
  return pixelsUnder(window, image, position)
    .slice(0, elements)
    .reduce((sum, pixel, k) => sum + pixel * filter[k], 0);
}

/**
 * @param {Window} window
 * @returns {Position} Rows and columns of the image with its padding.
 */
export function paddedShape({ rows, cols }) {
  return [paddedSize(rows), paddedSize(cols)];
}
