// The tab «Stride groups»: four methods on the same small example, step by step.

import { drawnFilters, drawnImages, drawnOutputs, drawnProduct } from "./boards.js";
import { announce, byId, counted, element } from "./dom.js";
import { FIELDS, readExample } from "./groups_example.js";
import { countsOf, stepsOf, workspaceOf } from "./methods.js";

/** @typedef {import("./methods.js").Method} Method */
/** @typedef {import("./methods.js").Step} Step */
/** @typedef {import("./groups_example.js").Example} Example */
/** @typedef {{method: Method, steps: Step[], done: number, block: HTMLElement}} Panel */

/** @type {[Method, string, string][]} */
const METHODS = [
  ["loops", "Four loops", "Python visits every output of every sample and filter."],
  ["shifted", "Shifted slices", "One element of the filter at a time, at all positions of all samples."],
  ["im2col", "im2col", "All windows are copied side by side; one product computes everything. Pixels in several windows are copied several times."],
  ["groups", "Stride groups", "Windows that do not overlap are one slice, and one product. No pixel is copied twice in a step."],
];

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
    for (const id of ["g-step", "g-end"]) buttonOf(id).disabled = isDone;
    buttonOf("g-play").disabled = !example;
    buttonOf("g-back").disabled = panels.every(({ done }) => !done);
  };
  const clear = () => {
    [panels, example] = [[], null];
    byId("g-shown").replaceChildren();
    byId("g-methods").replaceChildren();
    draw();
  };
  const reset = () => {
    stop();
    const found = readExample();
    byId("g-fault").textContent = typeof found === "string" ? found : "";
    if (typeof found === "string") return clear();
    example = found;
    panels = panelsOf(found);
    byId("g-shown").replaceChildren(...drawnFilters(found));
    byId("g-methods").replaceChildren(...panels.map(({ block }) => block));
    draw();
  };
  const move = (/** @type {number} */ by) => {
    advance(panels, by);
    draw();
  };
  const run = () => {
    clearInterval(timer);
    const { value } = /** @type {HTMLSelectElement} */ (byId("g-speed"));
    timer = window.setInterval(() => move(1), Number(value));
  };
  byId("g-step").addEventListener("click", () => {
    move(1);
    announce(panels.map(({ steps, done }) => steps[done - 1]?.says).join(" "));
  });
  byId("g-end").addEventListener("click", () => move(Infinity));
  byId("g-back").addEventListener("click", () => {
    stop();
    move(-1);
  });
  byId("g-reset").addEventListener("click", reset);
  byId("g-play").addEventListener("click", () => {
    if (timer) return stop();
    if (panels.every(({ done, steps }) => done >= steps.length)) reset();
    byId("g-play").textContent = "Stop";
    run();
  });
  byId("g-speed").addEventListener("input", () => timer && run());
  for (const id of Object.keys(FIELDS)) byId(id).addEventListener("input", reset);
  reset();
}

/** @param {Example} example @returns {Panel[]} One for each method, with nothing computed yet. */
function panelsOf({ window, sizes }) {
  return METHODS.map(([method, name, about]) => ({
    method,
    steps: stepsOf(method, window, sizes),
    done: 0,
    block: element("article", { class: "method", "data-method": method },
      element("h3", {}, name), element("p", { class: "soft" }, about),
      element("div", { class: "stage" })),
  }));
}

/**
 * Go on by some steps, or back by one: then those methods go back that have done the most steps.
 * @param {Panel[]} panels
 * @param {number} by
 */
function advance(panels, by) {
  const most = Math.max(...panels.map(({ done }) => done));
  for (const panel of panels) {
    if (by > 0) panel.done = Math.min(panel.done + by, panel.steps.length);
    else panel.done = Math.min(panel.done, most - 1);
  }
}

/** @param {string} id */
const buttonOf = (id) => /** @type {HTMLButtonElement} */ (byId(id));

/** @param {Panel} panel @param {Example} example */
function drawPanel(panel, example) {
  const { method, steps, done, block } = panel;
  const counts = countsOf(method, example.window, example.sizes);
  const step = done ? steps[done - 1] : null;
  const products = steps.slice(0, done).reduce((sum, one) => sum + one.products, 0);
  const stage = element(
    "div",
    { class: "stage" },
    drawnImages(example, step, method),
    element("p", { class: "count" }, iterationsOf(method, done, counts.iterations)),
    element("p", { class: "count" }, countWords("matrix product", products, counts.products)),
    element("p", { class: "count" }, `workspace of a step: ${counted("number", workspaceOf(method, example.window, example.sizes))}`),
    ...(method === "im2col" || method === "groups" ? [drawnProduct(example, step, products > 0)] : []),
    drawnOutputs(example, steps.slice(0, done)),
    element("p", { class: "says" }, step ? step.says : "Nothing is computed yet.")
  );
  block.querySelector(".stage")?.replaceWith(stage);
}

/** @param {string} method @param {number} done @param {number} all */
function iterationsOf(method, done, all) {
  if (method === "im2col") return "0 Python iterations: one call of NumPy copies all windows";
  return countWords("Python iteration", done, all);
}

/** @param {string} what @param {number} done @param {number} all */
function countWords(what, done, all) {
  return all ? `${done} of ${counted(what, all)}` : counted(what, 0);
}
