// The panel that explains one value: its window, the filter, the products, their sum, and the rest.

import { ACTIVATIONS } from "./activations.js";
import { cssColor, textOn } from "./colors.js";
import { announce, byId, counted, element, short, shown } from "./dom.js";
import { explain, strongest } from "./explain.js";
import { gradientAt, gradientOf } from "./gradient_view.js";
import { drawnPlace, placeInWords, shapeOf } from "./places.js";
import { reach, unravel } from "./tensor.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Place} Place */
/** @typedef {import("./explain.js").Term} Term */
/** @typedef {import("./explain.js").Explanation} Explanation */

const WIDEST = 7; // cells of a grid that have room for numbers
const LISTED = 8; // terms of a long sum that are listed

/** @param {Store} store */
export function showTrace(store) {
  let waiting = false;
  let isNew = false; // the value was chosen since the panel was drawn
  const body = byId("trace-body");
  const update = () => {
    const focused = body.contains(document.activeElement) && document.activeElement?.tagName;
    const place = store.looked && drawnPlace(store, store.looked);
    byId("trace").classList.toggle("empty", !place);
    body.replaceChildren(...(place ? bodyOf(store, place) : []));
    byId("trail").replaceChildren(...trailOf(store));
    byId("trace-back").hidden = store.trail.length < 2;
    byId("trace-close").hidden = !store.trail.length;
    if (focused) focusAgain(body, focused);
    if (isNew && isReached(store)) reveal();
    [waiting, isNew] = [false, false];
  };
  const soon = () => {
    if (!waiting) requestAnimationFrame(update);
    waiting = true;
  };
  store.on("selection", soon);
  for (const change of /** @type {const} */ (["pass", "class", "gradients"])) store.on(change, soon);
  store.on("selection", () => {
    if (!store.selected || store.hovered) return;
    isNew = true;
    const place = drawnPlace(store, store.selected);
    announce(`${placeInWords(store, place)}: ${shown(valueAt(store, place))}`);
  });
  byId("trace-back").addEventListener("click", () => store.back());
  byId("trace-close").addEventListener("click", () => store.clear());
  document.addEventListener("keydown", (event) => onKey(store, event));
  update();
}

/** @param {HTMLElement} body @param {string} tag What had the focus before the panel was drawn. */
function focusAgain(body, tag) {
  const selector = tag === "SELECT" ? "select" : "button.quiet";
  /** @type {HTMLElement | null} */ (body.querySelector(selector))?.focus({ preventScroll: true });
}

/**
 * @param {Store} store
 * @returns {boolean} Whether the value was reached from another one, or on the maps: a class is
 *   clicked at the top of the page, which then stays where it is.
 */
function isReached(store) {
  return store.trail.length > 1 || Boolean(document.activeElement?.closest(".maps"));
}

/** Scroll to the value that is looked at, if it is out of view. */
function reveal() {
  document.querySelector(".mark.here")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** @param {Store} store @param {KeyboardEvent} event */
function onKey(store, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const isField = target.matches("input:not([type=checkbox])");
  const isPressed = event.key === "Enter" && target.matches("button, summary, select");
  if (!store.selected || isField || isPressed) return;
  if (event.key === "Enter") followStrongest(store);
  else if (event.key === "Backspace") store.back();
  else if (event.key === "Escape") store.clear();
  else return;
  if (target.matches(".maps")) focusMaps(store);
  event.preventDefault();
}

/** @param {Store} store Let arrow keys go on in the layer of the value that is looked at. */
function focusMaps(store) {
  const path = store.selected && drawnPlace(store, store.selected).path;
  const groups = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".maps")]);
  groups.find((group) => group.dataset.path === path)?.focus({ preventScroll: true });
}

/** @param {Store} store */
function followStrongest(store) {
  const place = store.selected && drawnPlace(store, store.selected);
  const layer = place && store.layer(place.path);
  const next = layer && strongest(explain(layer, store.pass, place.at));
  if (next) store.select({ path: next.path, at: next.at }, true);
}

/** @param {Store} store @param {Place} place */
function valueAt(store, { path, at }) {
  return store.pass.outputs.get(path)?.data[at] ?? NaN;
}

/** @param {Store} store @returns {HTMLElement[]} The values that led here, the first one first. */
function trailOf(store) {
  return store.trail.map((place, k) => {
    const { path } = drawnPlace(store, place);
    const last = k === store.trail.length - 1;
    const click = () => {
      store.trail = store.trail.slice(0, k + 1);
      store.tell("selection");
    };
    const name = path === "input" ? "pixel" : path;
    return element("li", {}, element("button", { type: "button", click, "aria-current": last }, name));
  });
}

/** @param {Store} store @param {Place} place @returns {Node[]} */
function bodyOf(store, place) {
  const layer = store.layer(place.path);
  const value = valueAt(store, place);
  const head = element("p", { class: "place" }, placeInWords(store, place));
  const result = element("p", { class: "result" }, shown(value));
  const gradient = gradientOf(store, place);
  const pixel = element("p", { class: "soft" }, "This is a pixel of the image.");
  if (!layer) return [head, result, ...gradient, pixel];
  const explanation = explain(layer, store.pass, place.at);
  return [
    head,
    result,
    ...gradient,
    element("p", { class: "formula" }, `${layer.type}: ${explanation.formula}`),
    ...termsOf(store, explanation, gradientAt(store, place)),
    arithmetic(explanation),
    ...next(store, place),
    ...follow(store, explanation),
  ];
}

/** @param {Store} store @param {Explanation} explanation @returns {Node[]} */
function follow(store, { terms }) {
  if (!terms.length) return [];
  const click = () => {
    const here = store.looked;
    if (!store.selected && here) store.select(here);
    followStrongest(store);
  };
  const words = terms.length > 1 ? "Follow the strongest term back" : "Go back one layer";
  return [element("button", { type: "button", class: "quiet", click }, words)];
}

/** @param {Explanation} explanation @returns {HTMLElement} Sum, bias and result, line by line. */
function arithmetic({ terms, constant, steps, value, isMean }) {
  const isSum = !isMean && terms.length > 1 && terms.some(({ weight }) => weight !== 1 && weight !== 0);
  const sum = terms.reduce((total, { product }) => total + product, 0);
  /** @type {[string, number][]} */
  const rows = [...steps, ["result", value]];
  if (isSum) rows.unshift([`sum of ${counted("product", terms.length)}`, sum]);
  else if (terms.length === 1) rows.unshift(["value before", terms[0].value]);
  if (!terms.length) rows.unshift(["constant", constant]);
  return element(
    "dl",
    { class: "arithmetic" },
    ...rows.flatMap(([name, number]) => [
      element("dt", {}, name),
      element("dd", {}, shown(number)),
    ])
  );
}

/** @param {Store} store @param {Place} place @returns {Node[]} What the next layer makes of it. */
function next(store, { path, at }) {
  const after = store.all.find(
    ({ type, path: other }) => type in ACTIVATIONS && store.pass.sources.get(other) === path
  );
  if (!after) return [];
  const value = valueAt(store, { path: after.path, at });
  return [element("p", { class: "then" }, `then ${after.path}: ${shown(value)}`)];
}

/**
 * @param {Store} store
 * @param {Explanation} explanation
 * @param {number | undefined} gradient Of the value, where gradients are shown.
 * @returns {Node[]}
 */
function termsOf(store, explanation, gradient) {
  const { terms } = explanation;
  const layer = store.layer(explanation.path);
  if (layer?.params.scale) return [listed(store, [{ ...terms[0], weight: 1 }], 0)]; // as it comes
  if (terms.length < 2) return terms.map((term) => listed(store, [term], 0));
  const shape = shapeOf(store, terms[0].path);
  const inWindow = shape.length === 3 && terms.every(({ path }) => path === terms[0].path);
  if (inWindow && layer?.type !== "dense") {
    return grids(store, explanation, shape, gradient);
  }
  const sorted = [...terms].sort(
    (a, b) => Math.abs(b.product) - Math.abs(a.product) || b.value - a.value
  );
  return [listed(store, sorted.slice(0, LISTED), terms.length - LISTED)];
}

/**
 * @param {Store} store
 * @param {Term[]} terms
 * @param {number} more How many are not listed.
 */
function listed(store, terms, more) {
  const items = terms.map((term) => {
    const { path, at, value, weight, product } = term;
    const words = weight === 1 || weight === 0 ? shown(value) : `${shown(value)} × ${shown(weight)} = ${shown(product)}`;
    const where = placeInWords(store, drawnPlace(store, { path, at }));
    const click = () => go(store, term);
    return element("li", {}, element("button", { type: "button", click }, `${words}  (${where})`));
  });
  if (more > 0) items.push(element("li", { class: "soft" }, `and ${counted("smaller term", more)}`));
  return element("ul", { class: "terms" }, ...items);
}

/** @param {Store} store @param {Term} term */
function go(store, { path, at }) {
  if (!store.selected && store.looked) store.select(store.looked);
  store.hovered = null;
  store.select({ path, at }, true);
}

let channelShown = -1; // that the reader has chosen; -1: the one that adds most

/**
 * The window as grids of numbers, one channel at a time.
 * @param {Store} store
 * @param {Explanation} explanation
 * @param {number[]} shape
 * @param {number | undefined} gradient
 * @returns {Node[]}
 */
function grids(store, { terms, isMean }, shape, gradient) {
  /** @type {Map<number, Term[]>} */
  const byChannel = new Map();
  for (const term of terms) {
    const c = term.at % shape[2];
    byChannel.set(c, [...(byChannel.get(c) ?? []), term]);
  }
  const sums = [...byChannel].map(([c, own]) => ({ c, sum: own.reduce((a, t) => a + t.product, 0) }));
  const most = sums.reduce((a, b) => (Math.abs(b.sum) > Math.abs(a.sum) ? b : a)).c;
  const channel = byChannel.has(channelShown) ? channelShown : most;
  const own = byChannel.get(channel) ?? [];
  const weighted = !isMean && own.some(({ weight }) => weight !== 0 && weight !== 1);
  const parts = weighted
    ? [
        labelled("window", grid(store, own, shape, (term) => term.value)),
        labelled("× filter", grid(store, own, shape, (term) => term.weight)),
        labelled("= products", grid(store, own, shape, (term) => term.product)),
      ]
    : [labelled("window", grid(store, own, shape, (term) => term.value))];
  if (gradient !== undefined) {
    const words = weighted
      ? "backward: gradient · filter, what this value adds to the gradients of its window"
      : isMean
        ? "backward: every value gets the same share of the gradient"
        : "backward: the value that was taken gets the gradient, the others get none";
    parts.push(labelled(words, grid(store, own, shape, ({ weight }) => weight * gradient)));
  }
  /** @type {Node[]} */
  const found = [element("div", { class: "grids" }, ...parts)];
  if (sums.length > 1) found.unshift(channelPicker(store, sums, channel));
  return found;
}

/** @param {string} words @param {HTMLElement} content */
function labelled(words, content) {
  return element("figure", {}, element("figcaption", {}, words), content);
}

/**
 * @param {Store} store
 * @param {{c: number, sum: number}[]} sums
 * @param {number} channel
 */
function channelPicker(store, sums, channel) {
  const options = sums.map(({ c, sum }) => {
    const option = element("option", { value: c }, `feature map ${c}: adds ${shown(sum)}`);
    option.selected = c === channel;
    return option;
  });
  const select = element("select", { "aria-label": "Feature map of the window" }, ...options);
  select.addEventListener("change", () => {
    channelShown = Number(select.value);
    store.tell("selection");
  });
  return select;
}

/**
 * @param {Store} store
 * @param {Term[]} terms Of one channel.
 * @param {number[]} shape Of what they are taken from.
 * @param {(term: Term) => number} number
 * @returns {HTMLElement}
 */
function grid(store, terms, shape, number) {
  const cells = terms.map((term) => ({ term, place: unravel(shape, term.at) }));
  const rows = [...new Set(cells.map(({ place }) => place[0]))].sort((a, b) => a - b);
  const cols = [...new Set(cells.map(({ place }) => place[1]))].sort((a, b) => a - b);
  const limit = reach(terms.map(number)) || 1;
  const wide = cols.length > WIDEST;
  const isChoice = terms.some(({ weight }) => weight === 1); // one value is taken, as by max-pooling
  const made = cells.map(({ term, place }) => {
    const value = number(term);
    const words = shown(value);
    const click = () => go(store, term);
    const cell = element(
      "button",
      { type: "button", tabindex: -1, title: words, "aria-label": words, click },
      wide ? "" : short(value)
    );
    cell.style.gridRow = String(rows.indexOf(place[0]) + 1);
    cell.style.gridColumn = String(cols.indexOf(place[1]) + 1);
    if (term.weight === 0 && isChoice && !wide) {
      cell.classList.add("lost");
    } else {
      cell.style.background = cssColor(value / limit);
      cell.style.color = textOn(value / limit);
      cell.classList.toggle("taken", isChoice);
    }
    return cell;
  });
  const block = element("div", { class: wide ? "grid wide" : "grid" }, ...made);
  block.style.gridTemplateColumns = `repeat(${cols.length}, 1fr)`;
  return block;
}
