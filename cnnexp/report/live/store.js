// What the page shows now, and who wants to know when that changes.

import { logitGradients, lossGradients } from "./attribution.js";
import { forward, everyLayer } from "./network.js";
import { argmax } from "./tensor.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./layers.js").Layer} Layer */
/** @typedef {import("./network.js").Pass} Pass */
/** @typedef {import("./payload.js").Payload} Payload */
/** @typedef {import("./network.js").Backward} Backward */
/** @typedef {"none" | "logit" | "loss"} GradientsOf What the gradients of the maps are of. */
/** @typedef {"pass" | "class" | "selection" | "weights" | "gradients"} Change */
/** @typedef {{path: string, at: number}} Place One value: a layer, and a flat index. */

export class Store {
  /**
   * @param {Payload} payload
   * @param {Layer[]} layers
   * @param {Tensor} image
   */
  constructor(payload, layers, image) {
    this.payload = payload;
    this.layers = layers;
    this.image = image;
    this.label = -1; // the class of a test image, where one is shown
    this.chosen = -1; // the class that was clicked; -1: the likeliest one
    /** @type {Place[]} */
    this.trail = []; // how the reader came to the value that is looked at, the newest last
    /** @type {Place | null} */
    this.hovered = null;
    /** @type {GradientsOf} */
    this.gradientsOf = "none"; // the maps and the panel show values only
    /** @type {{key: unknown[], found: Backward} | null} */
    this.lastGradients = null;
    /** @type {Map<Change, (() => void)[]>} */
    this.listeners = new Map();
    /** @type {Pass} */
    this.pass = forward(layers, image);
  }

  /**
   * @param {Change} change
   * @param {() => void} listener
   */
  on(change, listener) {
    this.listeners.set(change, [...(this.listeners.get(change) ?? []), listener]);
  }

  /** @param {Change} change */
  tell(change) {
    for (const listener of this.listeners.get(change) ?? []) listener();
  }

  /**
   * Show another image.
   * @param {Tensor} image
   * @param {number} [label] Its class, where that is known.
   */
  setImage(image, label = -1) {
    this.image = image;
    this.label = label;
    this.pass = forward(this.layers, image);
    this.tell("pass");
  }

  /**
   * Compute with other weights.
   * @param {Layer[]} layers
   */
  setLayers(layers) {
    this.layers = layers;
    this.pass = forward(layers, this.image);
    this.tell("weights");
    this.tell("pass");
  }

  /** @param {number} k The class that gradients and occlusion are of. */
  setClass(k) {
    this.chosen = k;
    this.tell("class");
  }

  /** @returns {number} The likeliest class: what the network says. */
  get said() {
    return argmax(this.pass.output.data);
  }

  /** @returns {number} The class that gradients and occlusion are of. */
  get class() {
    return this.chosen >= 0 ? this.chosen : this.said;
  }

  /** @param {GradientsOf} kind */
  showGradients(kind) {
    this.gradientsOf = kind;
    this.tell("gradients");
  }

  /** @returns {Backward | null} The gradients that are shown, of the present image; null for none. */
  get gradients() {
    if (this.gradientsOf === "none") return null;
    const key = [this.pass, this.gradientsOf, this.class];
    if (this.lastGradients?.key.some((part, k) => part !== key[k]) ?? true) {
      this.lastGradients = { key, found: this.computedGradients() };
    }
    return this.lastGradients?.found ?? null;
  }

  /** @returns {Backward} */
  computedGradients() {
    const { layers, pass, payload } = this;
    if (this.gradientsOf === "loss" && payload.loss) {
      return lossGradients(layers, payload.loss, pass, this.class).gradients;
    }
    return logitGradients(layers, payload.loss, pass, this.class);
  }

  /** @returns {string} What the gradients are of, in words. */
  get gradientsInWords() {
    const name = this.payload.classes[this.class];
    return this.gradientsOf === "loss" ? `the loss if the class were ${name}` : `the logit of ${name}`;
  }

  /** @returns {Layer[]} All layers but blocks whose result is that of their last layer. */
  get all() {
    return everyLayer(this.layers);
  }

  /** @param {string} path @returns {Layer | undefined} */
  layer(path) {
    return this.all.find((layer) => layer.path === path);
  }

  /** @returns {Place | undefined} The value that is looked at. */
  get selected() {
    return this.trail[this.trail.length - 1];
  }

  /** @param {Place | null} place The value under the pointer. */
  hover(place) {
    if (place?.path === this.hovered?.path && place?.at === this.hovered?.at) return;
    this.hovered = place;
    this.tell("selection");
  }

  /** @returns {Place | undefined} What is explained: the value under the pointer comes first. */
  get looked() {
    return this.hovered ?? this.selected;
  }

  /**
   * Look at a value: by itself, or as one that the present value is made of.
   * @param {Place} place
   * @param {boolean} [follow]
   */
  select(place, follow = false) {
    this.trail = follow ? [...this.trail, place] : [place];
    this.hovered = null; // a pointer that rests elsewhere does not hide what was chosen
    this.tell("selection");
  }

  /** Go back to the value that was looked at before; after the first one to none. */
  back() {
    this.trail = this.trail.slice(0, -1);
    this.tell("selection");
  }

  /** Look at no value. */
  clear() {
    this.trail = [];
    this.tell("selection");
  }
}
