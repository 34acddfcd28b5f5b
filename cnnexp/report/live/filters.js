// The filters of a layer as small pictures, one beside another for each channel that they see.

import { drawMap, limitOf } from "./colors.js";
import { counted, element } from "./dom.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./layers.js").Layer} Layer */

const MOST_CHANNELS = 8;
const MOST_FILTERS = 64;

/**
 * @param {Store} store
 * @param {Layer} layer
 * @returns {number[] | null} Rows, columns, channels, filters; null for a layer without pictures.
 */
function filterShape(store, layer) {
  const W = layer.params.W;
  if (!W) return null;
  if (W.shape.length === 4) return W.shape[0] * W.shape[1] > 1 ? W.shape : null;
  let source = store.pass.sources.get(layer.path);
  while (source && store.layer(source)?.type === "flatten") source = store.pass.sources.get(source);
  return source === "input" ? [...store.payload.shape, W.shape[1]] : null;
}

/**
 * @param {Store} store
 * @param {Layer} layer
 * @param {HTMLElement} block The card that gets them.
 */
export function showFilters(store, layer, block) {
  const shape = filterShape(store, layer);
  if (!shape) return;
  const [f_h, f_w, n_c, n_f] = shape;
  const channels = Math.min(n_c, MOST_CHANNELS);
  const width = channels * (f_w + 1) - 1;
  const scale = Math.max(1, Math.round(40 / f_w / Math.sqrt(channels)));
  const canvases = Array.from({ length: Math.min(n_f, MOST_FILTERS) }, () => {
    const canvas = element("canvas", { width, height: f_h });
    canvas.style.width = `${width * scale}px`;
    return canvas;
  });
  const shownChannels = channels < n_c ? `, the first ${channels} of ${n_c} channels` : "";
  const details = element(
    "details",
    { class: "filters" },
    element("summary", {}, `${counted("filter", n_f)} of ${f_h} × ${f_w}${shownChannels}`),
    element("div", { class: "maps", "aria-hidden": "true" }, ...canvases)
  );
  const draw = () => {
    if (!details.open) return;
    const data = store.layer(layer.path)?.params.W.data ?? [];
    const limit = limitOf(data);
    canvases.forEach((canvas, f) =>
      drawMap(canvas, width * f_h, (k) => {
        const [row, across] = [Math.floor(k / width), k % width];
        const [c, col] = [Math.floor(across / (f_w + 1)), across % (f_w + 1)];
        return col === f_w ? 0 : data[((row * f_w + col) * n_c + c) * n_f + f] / limit;
      })
    );
  };
  details.open = n_c === 1 || (n_c === 3 && f_w < 12);
  details.addEventListener("toggle", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  store.on("weights", draw);
  draw();
  block.append(details);
}
