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
  const isTiny = size !== 0 && size < 0.001;
  const text = isTiny || size >= 1e6 ? value.toExponential(1) : value.toFixed(digits);
  return text.replaceAll("-", "−").replace("+", "");
}

/**
 * @param {number} value
 * @returns {string} A number for a small cell: ".13" for 0.126, and "0" for nothing but zero.
 */
export function short(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−").replace(/^(−?)0\./, "$1.");
}

/**
 * @param {number} share
 * @returns {string} A probability in per cent; it is never 0 or 1, though float32 rounds it to that.
 */
export function percent(share) {
  const value = 100 * share;
  if (value < 0.1) return "< 0.1 %";
  return value > 99.9 ? "> 99.9 %" : `${value.toFixed(1)} %`;
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
 * Let arrow keys move among the buttons of a group. The Tab key stops at one of them only.
 * @param {HTMLElement} group
 */
export function withOneTabStop(group) {
  const buttons = /** @type {HTMLElement[]} */ ([...group.children]);
  const stopAt = (/** @type {EventTarget | null} */ one) => {
    for (const button of buttons) button.tabIndex = button === one ? 0 : -1;
  };
  stopAt(buttons[0]);
  group.addEventListener("focusin", ({ target }) => stopAt(target));
  group.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const at = buttons.indexOf(/** @type {HTMLElement} */ (event.target)) + by;
    if (!by) return;
    buttons[(at + buttons.length) % buttons.length].focus();
    event.preventDefault();
  });
}

/**
 * Say something to those who listen to the page.
 * @param {string} words
 */
export function announce(words) {
  byId("spoken").textContent = words;
}
