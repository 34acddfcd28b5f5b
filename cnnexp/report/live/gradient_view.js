// What the panel says of the gradient of the value that is looked at.

import { element, shown } from "./dom.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Place} Place */

/**
 * @param {Store} store
 * @param {Place} place
 * @returns {number | undefined} Undefined while no gradients are shown, and where there is none.
 */
export function gradientAt({ gradients }, { path, at }) {
  return gradients?.results.get(path)?.data[at];
}

/**
 * @param {Store} store
 * @param {Place} place
 * @returns {Node[]} Nothing while no gradients are shown.
 */
export function gradientOf(store, place) {
  if (!store.gradients) return [];
  const gradient = gradientAt(store, place);
  const of = store.gradientsInWords;
  if (gradient === undefined) {
    const why = `No gradient here: the last layer is left out, and gradients of ${of} begin at the values before it.`;
    return [element("p", { class: "gradient" }, why)];
  }
  return [
    element("p", { class: "gradient" }, "gradient ", element("strong", {}, shown(gradient))),
    element("p", { class: "soft" }, meaning(gradient, of)),
  ];
}

/**
 * @param {number} gradient
 * @param {string} of
 * @returns {string}
 */
function meaning(gradient, of) {
  if (gradient === 0) return `If this value grew a little, ${of} would not change.`;
  const way = gradient > 0 ? "rise" : "fall";
  return `If this value grew by a little, ${of} would ${way} by ${shown(Math.abs(gradient))} times as much.`;
}
