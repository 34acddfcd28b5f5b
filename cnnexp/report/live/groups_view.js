// The tab «Stride groups»: four methods on the same small example, step by step.

import { drawnFilters, drawnImages, drawnOutputs, drawnProduct } from "./boards.js";
import { announce, byId, counted, element } from "./dom.js";
import { FIELDS, readExample } from "./groups_example.js";
import { countsOf, stepsOf } from "./methods.js";

/** @typedef {import("./methods.js").Method} Method */
/** @typedef {import("./methods.js").Step} Step */
/** @typedef {import("./groups_example.js").Example} Example */
/** @typedef {{method: Method, steps: Step[], done: number, block: HTMLElement}} Panel */

/** @type {[Method, string, string][]} */
const METHODS = [
  ["loops", "Four loops", "Python visits every output of every sample and filter."],
  ["shifted", "Shifted slices", "One element of the filter at a time, at all positions of all samples."],
  ["im2col", "im2col", "All windows are copied side by side; one product computes everything."],
  ["groups", "Stride groups", "Windows that do not overlap are one slice, and one product."],
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
    /** @type {HTMLButtonElement} */ (byId("g-step")).disabled = isDone;
    /** @type {HTMLButtonElement} */ (byId("g-play")).disabled = !example;
    /** @type {HTMLButtonElement} */ (byId("g-back")).disabled = panels.every(({ done }) => !done);
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
    drawnImages(example, step, method),
    element("p", { class: "count" }, countWords("Python iteration", iterations, counts.iterations)),
    element("p", { class: "count" }, countWords("matrix product", products, counts.products)),
    ...(method === "im2col" || method === "groups" ? [drawnProduct(example, step, products > 0)] : []),
    drawnOutputs(example, steps.slice(0, done)),
    element("p", { class: "says" }, step ? step.says : "Nothing is computed yet.")
  );
  block.querySelector(".stage")?.replaceWith(stage);
}

/** @param {string} what @param {number} done @param {number} all */
function countWords(what, done, all) {
  return all ? `${done} of ${counted(what, all)}` : counted(what, 0);
}
