// The tab «What matters»: saliency, occlusion, and the gradients of every layer.

import { logitGradients, lossGradients, occlusion } from "./attribution.js";
import { drawMap, limitOf } from "./colors.js";
import { announce, byId, element, shown } from "./dom.js";
import { norm } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./network.js").Backward} Backward */

const TURN = 12; // milliseconds that occlusion computes before the page may answer again
const PATCH = 0.18; // of the shorter side of the image: 5 of 28 pixels, 2 of 8

/**
 * @param {Tensor} gradient (rows, columns, channels)
 * @returns {Float32Array} The mean over the channels.
 */
function meanOverChannels({ shape, data }) {
  const n_c = shape[2];
  const means = new Float32Array(data.length / n_c);
  data.forEach((value, at) => (means[Math.floor(at / n_c)] += value / n_c));
  return means;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} shape
 * @param {Float32Array} values
 */
function drawPixels(canvas, [ih, iw], values) {
  [canvas.height, canvas.width] = [ih, iw];
  const limit = limitOf(values);
  drawMap(canvas, ih * iw, (k) => values[k] / limit);
}

/** @param {Store} store @returns {{gradients: Backward, words: string}} */
function gradientsNow(store) {
  const { layers, payload, pass } = store;
  const name = payload.classes[store.class];
  const ofLoss = /** @type {HTMLInputElement} */ (byId("of-loss")).checked;
  if (ofLoss && payload.loss) {
    const { value, gradients } = lossGradients(layers, payload.loss, pass, store.class);
    const words = `Loss (${payload.loss.name}) if the class were ${name}: ${shown(value)}.`;
    return { gradients, words };
  }
  return {
    gradients: logitGradients(layers, payload.loss, pass, store.class),
    words: `Logit of ${name}, before the last activation.`,
  };
}

/** @param {Store} store */
export function showAttribution(store) {
  const panel = byId("panel-matters");
  const canvas = /** @type {HTMLCanvasElement} */ (byId("saliency"));
  const update = () => {
    if (panel.hidden) return;
    const { gradients, words } = gradientsNow(store);
    byId("gradient-of").textContent = words;
    drawPixels(canvas, store.payload.shape, meanOverChannels(gradients.image));
    byId("norms").replaceChildren(...normRows(store, gradients));
    showClass(store);
  };
  if (!store.payload.loss) byId("of-loss-label").hidden = true;
  for (const change of /** @type {const} */ (["pass", "class"])) store.on(change, update);
  byId("of-loss").addEventListener("change", update);
  byId("of-score").addEventListener("change", update);
  byId("tab-matters").addEventListener("click", update);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  showOcclusion(store);
}

/** @param {Store} store Say which class is looked at, in a list to choose from. */
function showClass(store) {
  const select = /** @type {HTMLSelectElement} */ (byId("class-of"));
  if (!select.options.length) {
    store.payload.classes.forEach((name, k) => select.append(element("option", { value: k }, name)));
    select.addEventListener("change", () => store.setClass(Number(select.value)));
  }
  select.value = String(store.class);
}

/**
 * @param {Store} store
 * @param {Backward} gradients
 * @returns {HTMLElement[]} A row for each layer that has parameters.
 */
function normRows(store, gradients) {
  const rows = store.all.flatMap(({ path, params }) =>
    Object.keys(params).map((name) => {
      const gradient = gradients.params.get(`${path}.${name}`);
      return { name: `${path}.${name}`, size: norm(gradient?.data ?? []) };
    })
  );
  const most = Math.max(...rows.map(({ size }) => size)) || 1;
  return rows.map(({ name, size }) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${(100 * size) / most}%`;
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", { class: "wide" }, element("span", { class: "track" }, bar)),
      element("td", { class: "number" }, shown(size))
    );
  });
}

/** @param {Store} store Listen to the button that covers patch after patch. */
function showOcclusion(store) {
  const canvas = /** @type {HTMLCanvasElement} */ (byId("occlusion"));
  const button = /** @type {HTMLButtonElement} */ (byId("occlude"));
  const size = /** @type {HTMLInputElement} */ (byId("patch"));
  const [tall, across] = store.payload.shape;
  size.max = String(Math.min(tall, across));
  size.value = String(Math.max(2, Math.round(PATCH * Math.min(tall, across))));
  let turn = 0;
  /** @type {Tensor | null} */
  let last = null;
  const redraw = () => last && drawPixels(canvas, store.payload.shape, last.data);
  const stop = () => {
    turn++;
    button.textContent = "Cover patch after patch";
    byId("occluded").classList.add("old");
  };
  const start = () => {
    stop();
    const mine = turn;
    const [ih, iw] = store.payload.shape;
    const side = Math.max(Math.min(Math.round(Number(size.value)), ih, iw), 1);
    const step = Math.max(1, Math.round(Math.min(ih, iw) / 14));
    const value = store.payload.drawing?.low ?? 0;
    const patch = { size: side, step, value };
    const maps = occlusion(store.layers, store.image, store.class, patch);
    byId("occluded").classList.remove("old");
    button.textContent = "Covering…";
    const go = () => {
      if (mine !== turn) return;
      const end = performance.now() + TURN;
      let done = false;
      while (!done && performance.now() < end) {
        const found = maps.next();
        done = Boolean(found.done);
        last = found.value;
      }
      redraw();
      if (!done) requestAnimationFrame(go);
      else {
        button.textContent = "Cover patch after patch";
        canvas.dataset.done = String(mine);
        announce("Occlusion is computed.");
      }
    };
    go();
  };
  button.addEventListener("click", start);
  size.addEventListener("change", start);
  for (const change of /** @type {const} */ (["pass", "class"])) store.on(change, stop);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
