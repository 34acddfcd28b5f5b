// The page: reads what it carries, and puts its parts together.

import { showAttribution } from "./attribution_view.js";
import { byId } from "./dom.js";
import { showGroups } from "./groups_view.js";
import { showMaps } from "./maps.js";
import { showMarks } from "./marks.js";
import { showInput } from "./pad.js";
import { imagesOf, layersOf, numbersOf } from "./payload.js";
import { showProbabilities } from "./probabilities.js";
import { Store } from "./store.js";
import { zeros } from "./tensor.js";
import { showTrace } from "./trace.js";
import { showTraining } from "./training.js";

/** @returns {Store} What the page carries, with the first image shown. */
function readPage() {
  const payload = JSON.parse(byId("data").textContent ?? "");
  const { format, values } = payload.weights;
  const layers = layersOf(payload.layers, numbersOf(values, format));
  return new Store(payload, layers, zeros(payload.shape));
}

/** Let a click, or an arrow key, change the tab. */
function showTabs() {
  const tabs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[role=tab]")]);
  const choose = (/** @type {HTMLElement} */ chosen) => {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls") ?? "").hidden = !isChosen;
    }
  };
  tabs.forEach((tab, k) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      if (!by) return;
      const other = tabs[(k + by + tabs.length) % tabs.length];
      other.focus();
      other.click();
      event.preventDefault();
    });
  });
}

function start() {
  const store = readPage();
  const images = imagesOf(store.payload.images, store.payload.shape);
  if (images.length) store.setImage(images[0], store.payload.images.facts[0].label);
  byId("facts").textContent = store.payload.facts.join(" · ");
  showTabs();
  showInput(store, images);
  showProbabilities(store);
  showTraining(store);
  showMarks(store, showMaps(store));
  showTrace(store);
  showAttribution(store);
  showGroups();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  /** @type {any} */ (window).cnnexp = { store, images };
}

start();
