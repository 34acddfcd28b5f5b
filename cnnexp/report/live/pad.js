// The pad to draw on, and the test images to choose from.

import { drawImage } from "./colors.js";
import { announce, byId, element, percent, withOneTabStop } from "./dom.js";
import { imageOf, noInk, stroke } from "./ink.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./ink.js").Point} Point */
/** @typedef {import("./payload.js").Drawing} Drawing */

const THICKNESS = 0.036; // radius of the pen, in widths of the pad

/**
 * @param {Store} store
 * @param {Tensor[]} images
 * @returns {[number, number]} The values that are drawn black and white.
 */
function rangeOf({ payload }, images) {
  if (payload.drawing) return [payload.drawing.low, payload.drawing.high];
  let [low, high] = [Infinity, -Infinity];
  for (const { data } of images) {
    for (const value of data) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  return [low, high > low ? high : low + 1];
}

/**
 * Fill the part of the page where an image is drawn or chosen.
 * @param {Store} store
 * @param {Tensor[]} images
 */
export function showInput(store, images) {
  const range = rangeOf(store, images);
  const pad = /** @type {HTMLCanvasElement} */ (byId("pad"));
  const seen = /** @type {HTMLCanvasElement} */ (byId("seen"));
  const draw = () => {
    drawImage(seen, store.image, ...range);
    if (!pad.dataset.drawn) drawImage(pad, store.image, ...range);
  };
  store.on("pass", draw);
  draw();
  if (!store.payload.drawing) showOnly(pad);
  const forget = store.payload.drawing ? listenToPen(store, pad, store.payload.drawing) : () => {};
  showGallery(store, images, range, forget);
}

/** @param {HTMLCanvasElement} pad Shows images, and cannot be drawn on. */
function showOnly(pad) {
  pad.classList.add("still");
  pad.setAttribute("role", "img");
  pad.setAttribute("aria-label", "The image that the network gets");
  pad.removeAttribute("tabindex");
  byId("invitation").remove();
  const words = element("p", { class: "soft" }, "Colour images are chosen below.");
  byId("pen").replaceChildren(/** @type {HTMLElement} */ (pad.parentElement), words);
  byId("how").textContent = "Choose a test image";
}

/**
 * @param {Store} store
 * @param {HTMLCanvasElement} pad
 * @param {Drawing} drawing
 * @returns {() => void} Forgets what was drawn.
 */
function listenToPen(store, pad, drawing) {
  const { shape } = store.payload;
  let ink = noInk(shape);
  /** @type {Point | null} */
  let last = null;
  let finger = 0; // the pointer that draws; a second finger does not
  const centred = /** @type {HTMLInputElement} */ (byId("centred"));
  const update = () => {
    pad.dataset.drawn = "true";
    drawImage(pad, { shape: [...ink.shape, 1], data: ink.data }, 0, 1);
    store.setImage(imageOf(ink, shape, drawing, centred.checked));
  };
  const forget = () => {
    ink = noInk(shape);
    delete pad.dataset.drawn;
  };
  /** @param {PointerEvent} event @returns {Point} */
  const pointOf = (event) => {
    const box = pad.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  /** @param {PointerEvent} event */
  const draw = (event) => {
    if (!last || event.pointerId !== finger) return;
    const began = performance.now();
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      const point = pointOf(one);
      stroke(ink, last, point, THICKNESS * ink.shape[1]);
      last = point;
    }
    update();
    pad.dataset.milliseconds = String(performance.now() - began);
  };
  const end = (/** @type {PointerEvent} */ { pointerId }) => {
    if (!last || pointerId !== finger) return;
    last = null;
    announce(inWords(store));
  };
  pad.addEventListener("pointerdown", (event) => {
    if (last || event.button !== 0) return;
    if (!pad.dataset.drawn) forget();
    finger = event.pointerId;
    pad.setPointerCapture(finger);
    last = pointOf(event);
    draw(event);
    event.preventDefault();
  });
  pad.addEventListener("pointermove", draw);
  pad.addEventListener("pointerup", end);
  pad.addEventListener("pointercancel", end);
  centred.addEventListener("change", () => pad.dataset.drawn && update());
  if (drawing.share === null) byId("centring").hidden = true;
  byId("clear").addEventListener("click", () => {
    forget();
    store.setImage(imageOf(ink, shape, drawing, false));
    announce("The pad is empty.");
  });
  listenToKeys(store, pad, (from, to) => {
    if (!pad.dataset.drawn) forget();
    stroke(ink, from, to, THICKNESS * ink.shape[1]);
    update();
  });
  return forget;
}

/** @param {Store} store */
function inWords(store) {
  return `The network says ${store.payload.classes[store.said]}.`;
}

/**
 * Draw with the keyboard: arrow keys move the pen, with the space bar it is put down or lifted.
 * @param {Store} store
 * @param {HTMLCanvasElement} pad
 * @param {(from: Point, to: Point) => void} draw
 */
function listenToKeys(store, pad, draw) {
  let point = { x: 0.5, y: 0.3 };
  let down = false;
  /** @type {Record<string, [number, number]>} */
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const cursor = byId("cursor");
  const place = () => {
    cursor.style.left = `${100 * point.x}%`;
    cursor.style.top = `${100 * point.y}%`;
    cursor.classList.toggle("down", down);
  };
  pad.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      down = !down;
      announce(down ? "Pen down." : `Pen up. ${inWords(store)}`);
      if (down) draw(point, point);
    } else if (event.key in moves) {
      const [x, y] = moves[event.key];
      const to = {
        x: Math.min(Math.max(point.x + x / 28, 0), 1),
        y: Math.min(Math.max(point.y + y / 28, 0), 1),
      };
      if (down) draw(point, to);
      point = to;
    } else {
      return;
    }
    place();
    event.preventDefault();
  });
  place();
}

/**
 * Fill the lists of test images.
 * @param {Store} store
 * @param {Tensor[]} images
 * @param {[number, number]} range
 * @param {() => void} forget
 */
function showGallery(store, images, range, forget) {
  const { facts, mistakes } = store.payload.images;
  const first = facts.length - mistakes;
  const { classes } = store.payload;
  const buttons = images.map((image, k) => {
    const { number, label, said, probability } = facts[k];
    const words =
      label === said
        ? `Test image ${number}: ${classes[label]}`
        : `Test image ${number}: ${classes[label]}, taken for ${classes[said]}, ${percent(probability)}`;
    const canvas = element("canvas", { "aria-hidden": "true" });
    drawImage(canvas, image, ...range);
    const button = element("button", { type: "button", title: words, "aria-label": words }, canvas);
    button.addEventListener("click", () => {
      forget();
      store.setImage(image, label);
      announce(words);
    });
    byId(k < first ? "right" : "wrong").append(button);
    return button;
  });
  const mark = () => {
    buttons.forEach((button, k) => button.toggleAttribute("data-shown", images[k] === store.image));
  };
  store.on("pass", mark);
  mark();
  for (const id of ["right", "wrong"]) withOneTabStop(byId(id));
  byId("wrongs").hidden = mistakes === 0;
  byId("rights").hidden = first === 0;
}
