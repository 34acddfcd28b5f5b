// Sliding windows: positions, padding, and the stride groups of positions that do not overlap.
// The same arithmetic as cnnexp/engine/window.py; a test compares them.

/**
 * A window along one axis: pixels of the image, of the window, and of the padding at both ends.
 * @typedef {{size: number, width: number, stride: number, before: number, after: number,
 *   dilation: number}} Axis
 */
/** @typedef {{rows: Axis, cols: Axis}} Window */
/**
 * One stride group along an axis: positions first, first + step, …, and the pixels of its blocks.
 * @typedef {{first: number, step: number, count: number, start: number, block: number}} AxisGroup
 */

/**
 * @param {Axis} axis
 * @returns {number} Pixels of the image from the first to the last of the window.
 */
export function reachOf(axis) {
  return (axis.width - 1) * axis.dilation + 1;
}

/**
 * @param {Axis} axis
 * @returns {number} Pixels of the image with its padding.
 */
export function paddedSize(axis) {
  return axis.before + axis.size + axis.after;
}

/**
 * @param {Axis} axis
 * @returns {number} Positions of the window.
 */
export function positions(axis) {
  return Math.floor((paddedSize(axis) - reachOf(axis)) / axis.stride) + 1;
}

/**
 * @param {Axis} axis
 * @returns {AxisGroup[]} The stride groups of this axis.
 */
export function axisGroups(axis) {
  const step = Math.ceil(reachOf(axis) / axis.stride);
  const out = positions(axis);
  const groups = [];
  for (let first = 0; first < Math.min(step, out); first++) {
    const count = Math.ceil((out - first) / step);
    groups.push({ first, step, count, start: first * axis.stride, block: step * axis.stride });
  }
  return groups;
}

/**
 * @param {Window} window
 * @returns {[AxisGroup, AxisGroup][]} The stride groups: a row group and a column group each.
 */
export function strideGroups(window) {
  const columns = axisGroups(window.cols);
  return axisGroups(window.rows).flatMap((rows) =>
    columns.map((cols) => /** @type {[AxisGroup, AxisGroup]} */ ([rows, cols]))
  );
}

/**
 * @param {number} size
 * @param {number} width
 * @param {number} stride
 * @param {number | "same"} padding Pixels at every end, or as many as give ceil(size / stride).
 * @returns {Axis}
 */
export function makeAxis(size, width, stride, padding) {
  let [before, after] = [0, 0];
  if (padding === "same") {
    const total = Math.max((Math.ceil(size / stride) - 1) * stride + width - size, 0);
    [before, after] = [Math.floor(total / 2), total - Math.floor(total / 2)];
  } else {
    [before, after] = [padding, padding];
  }
  return { size, width, stride, before, after, dilation: 1 };
}

/**
 * Call a function for each pixel of a window that lies within the image.
 * @param {Window} window
 * @param {number} h Position along rows.
 * @param {number} w Position along columns.
 * @param {(row: number, col: number, a: number, b: number) => void} visit
 *   Gets the pixel, and where it lies in the window.
 */
export function eachPixel({ rows, cols }, h, w, visit) {
  for (let a = 0; a < rows.width; a++) {
    const row = h * rows.stride + a * rows.dilation - rows.before;
    if (row < 0 || row >= rows.size) continue;
    for (let b = 0; b < cols.width; b++) {
      const col = w * cols.stride + b * cols.dilation - cols.before;
      if (col >= 0 && col < cols.size) visit(row, col, a, b);
    }
  }
}
