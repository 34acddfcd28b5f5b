// Tables of numbers for the small example: images, filters, matrices and outputs.

import { element } from "./dom.js";
import { allPositions, elementName, outputAt, paddedShape, pixelsUnder } from "./methods.js";
import { positions } from "./window.js";

/** @typedef {import("./window.js").Window} Window */
/** @typedef {import("./methods.js").Method} Method */
/** @typedef {import("./methods.js").Step} Step */
/** @typedef {import("./methods.js").Position} Position */
/** @typedef {import("./groups_example.js").Example} Example */
/** @typedef {{text: string, name?: string}} Cell What stands in a cell, and its classes of CSS. */

const MOST_COLUMNS = 12; // of a matrix

/** @param {number} value @returns {string} */
const whole = (value) => String(value).replace("-", "−");

/**
 * Cells are as wide as the longest number. A table that is too wide scrolls.
 * @param {string} label
 * @param {number} columns
 * @param {Cell[]} cells
 * @param {number} [longest] Characters that a cell may get later on.
 */
function board(label, columns, cells, longest = 2) {
  const made = cells.map(({ text, name = "" }) => element("span", { class: name }, text));
  const spoken = cells.map(({ text }, k) => (text || "empty") + ((k + 1) % columns ? "" : ";"));
  const name = `${label}: ${spoken.join(" ")}`;
  const block = element("div", { class: "board", role: "img", "aria-label": name }, ...made);
  const most = Math.max(longest, ...cells.map(({ text }) => text.length));
  block.style.gridTemplateColumns = `repeat(${columns}, max(1.9em, ${most + 0.8}ch))`;
  return element("figure", {}, element("figcaption", {}, label), block);
}

/**
 * @param {string} name
 * @param {number} at
 * @param {number} count
 * @returns {string} "sample 1", or "sample" where there is one only.
 */
function numbered(name, at, count) {
  return count > 1 ? `${name} ${at}` : name;
}

/** @param {Example} example @returns {HTMLElement[]} The elements of each filter. */
export function drawnFilters({ window, filters }) {
  const size = filters[0].length;
  const names = size <= 4 ? `, elements ${filters[0].map((_, k) => elementName(window, k)).join(" ")}` : "";
  return filters.map((filter, f) => {
    const label = `${numbered("filter", f, filters.length)}${names}`;
    return board(label, window.cols.width, filter.map((value) => ({ text: whole(value) })));
  });
}

/**
 * @param {Example} example
 * @param {Step | null} step
 * @param {Method} method
 * @returns {HTMLElement} The image of every sample, and what a step takes from it.
 */
export function drawnImages(example, step, method) {
  const boards = example.images.map((_, sample) => {
    const isTaken = (step?.sample ?? sample) === sample;
    return drawnImage(example, sample, isTaken ? step : null, method);
  });
  return element("div", { class: "boards" }, ...boards);
}

/**
 * @param {Window} window
 * @param {Step | null} step
 * @returns {Map<number, number[]>} For pixels that a step takes, the windows that cover them.
 */
function coveredBy({ rows, cols }, step) {
  const wide = paddedShape({ rows, cols })[1];
  /** @type {Map<number, number[]>} */
  const covers = new Map();
  (step?.positions ?? []).forEach(([h, w], k) => {
    for (let e = 0; e < rows.width * cols.width; e++) {
      if (e !== (step?.element ?? e)) continue;
      const row = h * rows.stride + Math.floor(e / cols.width);
      const at = row * wide + w * cols.stride + (e % cols.width);
      covers.set(at, [...(covers.get(at) ?? []), k]);
    }
  });
  return covers;
}

/**
 * @param {Example} example
 * @param {number} sample
 * @param {Step | null} step
 * @param {Method} method
 */
function drawnImage({ window, images }, sample, step, method) {
  const { rows, cols } = window;
  const [tall, wide] = paddedShape(window);
  const covers = coveredBy(window, step);
  const hasFrames = method === "loops" || method === "groups"; // whose windows do not overlap
  const cells = Array.from({ length: tall * wide }, (_, at) => {
    const [row, col] = [Math.floor(at / wide) - rows.before, (at % wide) - cols.before];
    const inside = row >= 0 && col >= 0 && row < rows.size && col < cols.size;
    const names = inside ? [] : ["padding"];
    const over = covers.get(at);
    if (over) names.push("window");
    if (over && method === "groups") names.push(`tint${tintOf(step, over[0])}`);
    if (over && over.length > 1) names.push("shared");
    if (over && step && hasFrames) names.push(...edgesOf(window, step.positions[over[0]], at));
    return { text: inside ? whole(images[sample][row * cols.size + col]) : "0", name: names.join(" ") };
  });
  return board(images.length > 1 ? `input, sample ${sample}` : "input", wide, cells);
}

/**
 * @param {Window} window
 * @param {Position} position
 * @param {number} at A pixel of the image with its padding.
 * @returns {string[]} The edges of the window at which the pixel lies: that is where its frame is.
 */
function edgesOf({ rows, cols }, [h, w], at) {
  const wide = paddedShape({ rows, cols })[1];
  const [a, b] = [Math.floor(at / wide) - h * rows.stride, (at % wide) - w * cols.stride];
  /** @type {[string, boolean][]} */
  const edges = [
    ["top", a === 0],
    ["bottom", a === rows.width - 1],
    ["left", b === 0],
    ["right", b === cols.width - 1],
  ];
  return edges.filter(([, isThere]) => isThere).map(([name]) => name);
}

/**
 * @param {Step | null} step
 * @param {number} k
 * @returns {number} 0 or 1, so that neighbours of a group differ.
 */
function tintOf(step, k) {
  const members = step?.positions ?? [];
  const rows = [...new Set(members.map(([h]) => h))];
  const cols = [...new Set(members.map(([, w]) => w))];
  return (rows.indexOf(members[k][0]) + cols.indexOf(members[k][1])) % 2;
}

/**
 * The matrix product of a step: filters (a row each) · cols (a column for each window) = outputs.
 * @param {Example} example
 * @param {Step | null} step
 * @param {boolean} hasProduct Whether it is computed, and not only copied, by now.
 * @returns {HTMLElement}
 */
export function drawnProduct({ window, images, filters }, step, hasProduct) {
  const every = images.flatMap((image) => (step?.positions ?? []).map((at) => ({ image, at })));
  const some = every.slice(0, MOST_COLUMNS);
  const columns = some.map(({ image, at }) => pixelsUnder(window, image, at));
  const cells = filters[0].flatMap((_, k) => columns.map((pixels) => ({ text: whole(pixels[k]), name: "window" })));
  const more = every.length > some.length ? `, the first ${some.length} of ${every.length} columns` : "";
  const boards = [
    board("filters, a row each", filters[0].length, filters.flat().map((value) => ({ text: whole(value) }))),
    board(`· cols, a column for each window${more}`, Math.max(some.length, 1), cells),
  ];
  const results = filters.flatMap((filter) =>
    some.map(({ image, at }) => ({ text: whole(outputAt(window, image, filter, at)), name: "known" }))
  );
  if (hasProduct) boards.push(board("= outputs of these windows", some.length, results));
  const words = step ? boards : [element("p", { class: "soft" }, "Its matrix product comes with the first step.")];
  return element("div", { class: "boards product" }, ...words);
}

/**
 * @param {Example} example
 * @param {Step[]} steps Those that are done.
 * @returns {HTMLElement} What each sample and filter has of its output by now.
 */
export function drawnOutputs(example, steps) {
  const { samples, filters } = example.sizes;
  const boards = Array.from({ length: samples * filters }, (_, k) =>
    drawnOutput(example, steps, Math.floor(k / filters), k % filters)
  );
  return element("div", { class: "boards outputs" }, ...boards);
}

/**
 * @param {Example} example
 * @param {Step[]} steps
 * @param {number} sample
 * @param {number} f
 */
function drawnOutput({ window, sizes, images, filters }, steps, sample, f) {
  const mine = (/** @type {Step} */ step) =>
    !step.copies && (step.sample ?? sample) === sample && (step.filter ?? f) === f;
  const own = steps.filter(mine);
  const known = new Set(own.flatMap((step) => step.positions.map(String)));
  const last = steps[steps.length - 1];
  const newest = new Set(last && mine(last) ? last.positions.map(String) : []);
  const elements = last?.element === null || !last ? undefined : last.element + 1;
  const valueAt = (/** @type {Position} */ at) =>
    whole(outputAt(window, images[sample], filters[f], at, elements));
  const all = allPositions(window);
  const cells = all.map((at) => {
    const name = newest.has(String(at)) ? "window" : known.has(String(at)) ? "known" : "";
    return { text: known.has(String(at)) ? valueAt(at) : "", name };
  });
  const longest = Math.max(...all.map((at) => whole(outputAt(window, images[sample], filters[f], at)).length));
  const [oh, ow] = [positions(window.rows), positions(window.cols)];
  const label = sizes.samples * sizes.filters > 1 ? `output, sample ${sample}, filter ${f}` : "output";
  return board(`${label} (${oh} × ${ow})`, ow, cells, longest);
}
