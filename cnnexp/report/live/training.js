// Dragging through the training: the weights after every epoch, and the curves of the log.

import { announce, byId, element, shown } from "./dom.js";
import { layersOf, numbersOf } from "./payload.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./payload.js").Epoch} Epoch */

const [WIDTH, HEIGHT] = [300, 64];
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Epoch[]} epochs
 * @param {"train_loss" | "test_loss"} key
 * @param {number} most
 * @returns {string} Points of a line.
 */
function pointsOf(epochs, key, most) {
  const last = epochs[epochs.length - 1].epoch || 1;
  return epochs
    .filter((epoch) => epoch[key] !== null)
    .map((epoch) => {
      const y = HEIGHT - 4 - ((epoch[key] ?? 0) / most) * (HEIGHT - 8);
      return `${((epoch.epoch / last) * WIDTH).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * @param {Epoch[]} epochs
 * @returns {(epoch: number) => void} Moves the line that says where the slider is.
 */
function drawCurves(epochs) {
  const losses = epochs.flatMap(({ train_loss, test_loss }) => [train_loss ?? 0, test_loss ?? 0]);
  const most = Math.max(...losses) || 1;
  const svg = byId("curves");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  for (const key of /** @type {const} */ (["train_loss", "test_loss"])) {
    svg.append(shape("polyline", { class: key, points: pointsOf(epochs, key, most) }));
  }
  const now = shape("line", { class: "now", y1: 0, y2: HEIGHT });
  svg.append(now);
  const last = epochs[epochs.length - 1].epoch || 1;
  return (epoch) => {
    for (const end of ["x1", "x2"]) now.setAttribute(end, String((epoch / last) * WIDTH));
  };
}

/** @param {Epoch} epoch @param {number} last @returns {string} */
function epochInWords({ epoch, train_loss, test_loss, test_error }, last) {
  const parts = [epoch === 0 ? "Before training" : `After epoch ${epoch} of ${last}`];
  if (train_loss !== null) parts.push(`train loss ${shown(train_loss)}`);
  if (test_loss !== null) parts.push(`test loss ${shown(test_loss)}`);
  if (test_error !== null) parts.push(`test error ${(100 * test_error).toFixed(2)} %`);
  return parts.join(" · ");
}

/** @param {Store} store */
export function showTraining(store) {
  const { format, all } = store.payload.epochs;
  if (!all.length) return;
  byId("training").hidden = false;
  const move = drawCurves(all);
  const kept = all.filter(({ values }) => values);
  const last = all[all.length - 1].epoch;
  byId("epoch-words").textContent = epochInWords(all[all.length - 1], last);
  move(last);
  byId("training").classList.toggle("few", all.filter(({ epoch }) => epoch > 0).length < 2);
  if (kept.length < 2) {
    const words = "Train with checkpoint.keep=all to drag through the epochs.";
    byId("epochs").replaceWith(element("p", { class: "soft hint" }, words));
    return;
  }
  const final = store.layers;
  /** @type {Map<number, Layer[]>} */
  const made = new Map();
  const slider = /** @type {HTMLInputElement} */ (byId("epoch"));
  slider.max = String(kept.length - 1);
  slider.value = slider.max;
  slider.setAttribute("aria-valuetext", byId("epoch-words").textContent ?? "");
  const show = () => {
    const k = Number(slider.value);
    const layers = made.get(k) ?? layersOf(store.payload.layers, numbersOf(kept[k].values, format));
    made.set(k, layers);
    const words = epochInWords(kept[k], last);
    byId("epoch-words").textContent = words;
    slider.setAttribute("aria-valuetext", words);
    move(kept[k].epoch);
    store.setLayers(layers);
  };
  slider.addEventListener("input", show);
  byId("final").addEventListener("click", () => {
    slider.value = slider.max;
    show();
    store.setLayers(final);
    byId("epoch-words").textContent = "The weights that the run kept.";
    announce("The weights that the run kept.");
  });
  play(slider, show);
}

/**
 * Let a button move the slider through all epochs.
 * @param {HTMLInputElement} slider
 * @param {() => void} show
 */
function play(slider, show) {
  const button = byId("play");
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = "0";
    else slider.value = String(Number(slider.value) + 1);
    show();
    button.textContent = "Stop";
    timer = window.setInterval(() => {
      if (slider.value === slider.max) return stop();
      slider.value = String(Number(slider.value) + 1);
      show();
    }, 600);
  });
  slider.addEventListener("input", stop);
}
