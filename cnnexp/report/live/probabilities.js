// The outputs of the network as bars. A click on a class chooses it, and shows where it comes from.

import { announce, byId, element, percent, shown } from "./dom.js";
import { reach } from "./tensor.js";

/** @typedef {import("./store.js").Store} Store */

/** @param {Store} store */
export function showProbabilities(store) {
  const { classes, probabilities } = store.payload;
  const rows = classes.map((name, k) => {
    const bar = element("span", { class: "bar" });
    const value = element("span", { class: "value" });
    const button = element(
      "button",
      { type: "button", class: "class", click: () => choose(store, k) },
      element("span", { class: "name", title: name }, name),
      element("span", { class: "track" }, bar),
      value
    );
    byId("classes").append(element("li", {}, button));
    return { button, bar, value };
  });
  const update = () => {
    const outputs = store.pass.output.data;
    const best = store.said;
    const most = probabilities ? 1 : reach(outputs) || 1;
    rows.forEach(({ button, bar, value }, k) => {
      const share = outputs[k] / most;
      bar.style.width = `${Math.max(100 * share, 0)}%`;
      value.textContent = probabilities ? percent(outputs[k]) : shown(outputs[k]);
      button.classList.toggle("best", k === best);
      button.setAttribute("aria-pressed", String(k === store.class));
      button.setAttribute("aria-label", `${classes[k]}: ${value.textContent}`);
    });
    byId("verdict").replaceChildren(...verdict(store, best));
  };
  byId("outputs").textContent = probabilities ? "Probabilities" : "Outputs";
  store.on("pass", update);
  store.on("class", update);
  update();
}

/**
 * @param {Store} store
 * @param {number} best
 * @returns {(Node | string)[]} What the network says, and whether that is right.
 */
function verdict({ payload, label, image }, best) {
  const said = element("strong", {}, payload.classes[best]);
  const answer = ["Answer: ", said];
  const isEmpty = image.data.every((value) => value === image.data[0]);
  if (isEmpty) return [...answer, " — for an empty image"];
  if (label < 0) return answer;
  if (label === best) return [...answer, " — right"];
  return [...answer, ` — wrong, it is ${payload.classes[label]}`];
}

/**
 * @param {Store} store
 * @param {number} k
 */
function choose(store, k) {
  const { path } = store.layers[store.layers.length - 1];
  if (store.chosen === k && store.selected?.path === path) return release(store);
  store.setClass(k);
  store.select({ path, at: k });
  announce(`Class ${store.payload.classes[k]} is chosen.`);
}

/** @param {Store} store Take the likeliest class again. */
function release(store) {
  store.setClass(-1);
  store.clear();
  announce("The likeliest class is chosen.");
}
