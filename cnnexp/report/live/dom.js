// Making elements. Text always goes in as text: names in a run may be anything.

/** @typedef {Record<string, string | number | boolean | EventListener | undefined>} Attributes */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes] Functions listen to the event of that name.
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

/**
 * @param {number} value
 * @returns {string} A number with few digits, and a true minus sign.
 */
export function shown(value) {
  if (!Number.isFinite(value)) return String(value).replace("-", "−");
  const size = Math.abs(value);
  const digits = size >= 100 ? 1 : size >= 10 ? 2 : 3;
  const text = size !== 0 && size < 0.001 ? value.toExponential(1) : value.toFixed(digits);
  return text.replace("-", "−");
}

/**
 * @param {number} share
 * @returns {string} A probability in per cent.
 */
export function percent(share) {
  const value = 100 * share;
  return value > 0 && value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
}

/**
 * @param {string} singular
 * @param {number} count
 * @returns {string}
 */
export function counted(singular, count) {
  return `${count.toLocaleString("en")} ${singular}${count === 1 ? "" : "s"}`;
}

/**
 * Say something to those who listen to the page.
 * @param {string} words
 */
export function announce(words) {
  byId("spoken").textContent = words;
}
