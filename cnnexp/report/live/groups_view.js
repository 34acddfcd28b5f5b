// The tab «Stride groups»: three methods on the same small example, step by step.

import { announce, byId, counted, element, shown } from "./dom.js";
import { allPositions, countsOf, outputAt, paddedShape, stepsOf } from "./methods.js";
import { makeAxis, paddedSize, positions, reachOf } from "./window.js";

/** @typedef {import("./window.js").Window} Window */
/** @typedef {import("./methods.js").Method} Method */
/** @typedef {import("./methods.js").Step} Step */
/** @typedef {import("./methods.js").Sizes} Sizes */
/** @typedef {{window: Window, sizes: Sizes, images: number[][], filters: number[][]}} Example */
/** @typedef {{method: Method, steps: Step[], done: number, block: HTMLElement}} Panel */

/** @type {[Method, string, string][]} */
const METHODS = [
  ["loops", "Four loops", "Python visits every output of every sample and filter."],
  ["im2col", "im2col", "All windows are copied side by side; one product computes everything."],
  ["groups", "Stride groups", "Windows that do not overlap are one slice, and one product."],
];

/** @type {Record<string, [number, number, number]>} Default, least and largest value of a field. */
const FIELDS = {
  "g-rows": [6, 1, 12],
  "g-cols": [6, 1, 12],
  "g-filter": [2, 1, 5],
  "g-stride": [1, 1, 5],
  "g-padding": [0, 0, 3],
  "g-samples": [1, 1, 4],
  "g-filters": [1, 1, 4],
};

/** @param {string} id @returns {number} A field's value, brought within its bounds. */
function fieldValue(id) {
  const [usual, least, most] = FIELDS[id];
  const value = Math.round(Number(/** @type {HTMLInputElement} */ (byId(id)).value));
  return Number.isFinite(value) && value ? Math.min(Math.max(value, least), most) : Math.max(least, value ? usual : least);
}

/** @returns {Example | string} What the fields ask for, or why that is impossible. */
function readExample() {
  const [rows, cols, f, s, p] = ["g-rows", "g-cols", "g-filter", "g-stride", "g-padding"].map(fieldValue);
  const window = { rows: makeAxis(rows, f, s, p), cols: makeAxis(cols, f, s, p) };
  for (const axis of [window.rows, window.cols]) {
    if (paddedSize(axis) < reachOf(axis)) {
      return `A filter of ${f} × ${f} does not fit on an image of ${rows} × ${cols} with padding ${p}.`;
    }
  }
  const sizes = { samples: fieldValue("g-samples"), filters: fieldValue("g-filters") };
  const images = made(sizes.samples, rows * cols, (n, k) => (k * 7 + n * 3) % 10);
  const filters = made(sizes.filters, f * f, (n, k) => ((k * 5 + n) % 3) - 1);
  return { window, sizes, images, filters };
}

/**
 * @param {number} count
 * @param {number} size
 * @param {(n: number, k: number) => number} value
 * @returns {number[][]} So many lists, each of a size.
 */
function made(count, size, value) {
  return Array.from({ length: count }, (_, n) => Array.from({ length: size }, (_, k) => value(n, k)));
}

/** Fill the tab. */
export function showGroups() {
  /** @type {Panel[]} */
  let panels = [];
  /** @type {Example | null} */
  let example = null;
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    byId("g-play").textContent = "Play";
  };
  const draw = () => {
    for (const panel of panels) if (example) drawPanel(panel, example);
    const isDone = panels.every(({ done, steps }) => done >= steps.length);
    if (isDone) stop();
    /** @type {HTMLButtonElement} */ (byId("g-step")).disabled = isDone;
    /** @type {HTMLButtonElement} */ (byId("g-back")).disabled = panels.every(({ done }) => !done);
  };
  const reset = () => {
    stop();
    const found = readExample();
    byId("g-fault").textContent = typeof found === "string" ? found : "";
    if (typeof found === "string") return;
    example = found;
    panels = METHODS.map(([method, name, about]) => ({
      method,
      steps: stepsOf(method, found.window, found.sizes),
      done: 0,
      block: element("article", { class: "method", "data-method": method },
        element("h3", {}, name), element("p", { class: "soft" }, about),
        element("div", { class: "stage" })),
    }));
    byId("g-shown").replaceChildren(...drawnFilters(found));
    byId("g-methods").replaceChildren(...panels.map(({ block }) => block));
    draw();
  };
  const move = (/** @type {number} */ by) => {
    const most = Math.max(...panels.map(({ done }) => done));
    for (const panel of panels) {
      if (by > 0) panel.done = Math.min(panel.done + 1, panel.steps.length);
      else panel.done = Math.min(panel.done, most - 1);
    }
    draw();
  };
  byId("g-step").addEventListener("click", () => {
    move(1);
    announce(panels.map(({ steps, done }) => steps[done - 1]?.says).join(" "));
  });
  byId("g-back").addEventListener("click", () => move(-1));
  byId("g-reset").addEventListener("click", reset);
  byId("g-play").addEventListener("click", () => {
    if (timer) return stop();
    if (panels.every(({ done, steps }) => done >= steps.length)) reset();
    byId("g-play").textContent = "Stop";
    timer = window.setInterval(() => move(1), 450);
  });
  for (const id of Object.keys(FIELDS)) byId(id).addEventListener("input", reset);
  reset();
}

/** @param {Panel} panel @param {Example} example */
function drawPanel(panel, example) {
  const { method, steps, done, block } = panel;
  const counts = countsOf(method, example.window, example.sizes);
  const step = done ? steps[done - 1] : null;
  const products = steps.slice(0, done).reduce((sum, one) => sum + one.products, 0);
  const iterations = method === "im2col" ? 0 : done;
  const stage = element(
    "div",
    { class: "stage" },
    drawnImage(example, step, method),
    element("p", { class: "count" }, countWords("Python iteration", iterations, counts.iterations)),
    element("p", { class: "count" }, countWords("matrix product", products, counts.products)),
    ...(method === "im2col" ? [drawnColumns(example, done)] : []),
    drawnOutputs(example, panel),
    element("p", { class: "says" }, step ? step.says : "Nothing is computed yet.")
  );
  block.querySelector(".stage")?.replaceWith(stage);
}

/** @param {string} what @param {number} done @param {number} all */
function countWords(what, done, all) {
  return all ? `${done} of ${counted(what, all)}` : counted(what, 0);
}

/**
 * @param {string} label
 * @param {number} columns
 * @param {HTMLElement[]} cells
 * @param {string} most The greatest width of a cell.
 */
function board(label, columns, cells, most = "1.9em") {
  const block = element("div", { class: "board", role: "img", "aria-label": label }, ...cells);
  block.style.gridTemplateColumns = `repeat(${columns}, minmax(0, ${most}))`;
  return element("figure", {}, element("figcaption", {}, label), block);
}

/** @param {Example} example @returns {HTMLElement[]} The elements of each filter. */
function drawnFilters({ window, filters }) {
  return filters.map((filter, f) => {
    const cells = filter.map((value) => element("span", {}, shown(value).replace(/\.0+$/, "")));
    return board(filters.length > 1 ? `filter ${f + 1}` : "filter", window.cols.width, cells);
  });
}

/**
 * @param {Example} example
 * @param {Step | null} step
 * @param {Method} method
 */
function drawnImage({ window, images }, step, method) {
  const sample = step?.sample ?? 0;
  const { rows, cols } = window;
  const [tall, wide] = paddedShape(window);
  /** @type {Map<number, number[]>} Windows that cover a pixel. */
  const covers = new Map();
  (step?.positions ?? []).forEach(([h, w], k) => {
    for (let a = 0; a < rows.width; a++) {
      for (let b = 0; b < cols.width; b++) {
        const at = (h * rows.stride + a) * wide + w * cols.stride + b;
        covers.set(at, [...(covers.get(at) ?? []), k]);
      }
    }
  });
  const cells = Array.from({ length: tall * wide }, (_, at) => {
    const [row, col] = [Math.floor(at / wide) - rows.before, (at % wide) - cols.before];
    const inside = row >= 0 && col >= 0 && row < rows.size && col < cols.size;
    const cell = element("span", {}, inside ? String(images[sample][row * cols.size + col]) : "0");
    if (!inside) cell.classList.add("padding");
    const over = covers.get(at);
    if (over && method === "groups") cell.classList.add("window", `tint${tintOf(window, step, over[0])}`);
    else if (over) cell.classList.add("window");
    if (over && over.length > 1) cell.classList.add("shared");
    return cell;
  });
  return board(images.length > 1 ? `input, sample ${sample + 1}` : "input", wide, cells);
}

/**
 * @param {Window} window
 * @param {Step | null} step
 * @param {number} k
 * @returns {number} 0 or 1, so that neighbours of a group differ.
 */
function tintOf(window, step, k) {
  const members = step?.positions ?? [];
  const rows = [...new Set(members.map(([h]) => h))];
  const cols = [...new Set(members.map(([, w]) => w))];
  return (rows.indexOf(members[k][0]) + cols.indexOf(members[k][1])) % 2;
}

/** @param {Example} example @param {number} done @returns {HTMLElement} The matrix of windows. */
function drawnColumns({ window, images }, done) {
  const { rows, cols } = window;
  const size = rows.width * cols.width;
  const all = images.flatMap((image) => allPositions(window).map(([h, w]) => ({ image, h, w })));
  const first = all.slice(0, 12);
  const cells = first.flatMap(({ image, h, w }) =>
    Array.from({ length: size }, (_, k) => {
      const row = h * rows.stride + Math.floor(k / cols.width) - rows.before;
      const col = w * cols.stride + (k % cols.width) - cols.before;
      const inside = row >= 0 && col >= 0 && row < rows.size && col < cols.size;
      const value = inside ? image[row * cols.size + col] : 0;
      return element("span", { class: done ? "window" : "" }, done ? String(value) : "");
    })
  );
  const more = all.length > first.length ? `, the first ${first.length} of ${all.length} rows` : "";
  return board(`matrix of windows${more}`, size, cells);
}

/** @param {Example} example @param {Panel} panel @returns {HTMLElement} */
function drawnOutputs({ window, sizes, images, filters }, { steps, done }) {
  const [oh, ow] = [positions(window.rows), positions(window.cols)];
  const boards = [];
  for (let sample = 0; sample < sizes.samples; sample++) {
    for (let f = 0; f < sizes.filters; f++) {
      const mine = (/** @type {Step} */ step) =>
        !step.copies && (step.sample ?? sample) === sample && (step.filter ?? f) === f;
      const known = new Set(steps.slice(0, done).filter(mine).flatMap((s) => s.positions.map(String)));
      const newest = done && mine(steps[done - 1]) ? new Set(steps[done - 1].positions.map(String)) : new Set();
      const cells = allPositions(window).map((at) => {
        const value = outputAt(window, images[sample], filters[f], at);
        const cell = element("span", {}, known.has(String(at)) ? shown(value).replace(/\.0+$/, "") : "");
        if (newest.has(String(at))) cell.classList.add("window");
        else if (known.has(String(at))) cell.classList.add("known");
        return cell;
      });
      const label = sizes.samples * sizes.filters > 1 ? `output, sample ${sample + 1}, filter ${f + 1}` : "output";
      boards.push(board(`${label} (${oh} × ${ow})`, ow, cells, "2.4em"));
    }
  }
  return element("div", { class: "boards" }, ...boards);
}
