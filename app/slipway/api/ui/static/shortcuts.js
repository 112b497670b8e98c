// Single keys for a page, such as "j" for the next row. A person can switch them off; the browser stores that. They do
// nothing while a person types, and none of them sends anything. Escape leaves the control in which a person types.

import { byId, el } from "./dom.js";

const STORED = "slipway-keys-off";
const TYPING = "input:not([type=checkbox]), textarea, select";

// Whether the page has shortcuts.
export const hasKeys = () => byId("shortcuts") !== null;

// `keys` is {key: action}. An action returns false if it did nothing. The element with the id `shortcuts` lists `help`,
// [[key, what it does]], and the switch.
export function useShortcuts(keys, help) {
  const off = el("input", { type: "checkbox", id: "keys-off", checked: localStorage.getItem(STORED) === "yes" });
  off.addEventListener("change", () => localStorage.setItem(STORED, off.checked ? "yes" : ""));
  byId("shortcuts").append(el("dl", { class: "facts" }, help.map(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
    el("label", { class: "check", for: "keys-off" }, off, "Switch these keys off"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches("input, textarea")) event.target.blur();
    if (off.checked || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPING) || document.querySelector("dialog[open]")) return;
    const action = keys[event.key];
    if (action && action() !== false) event.preventDefault();
  });
}

// Moves the focus to the link `step` rows after the one that has it.
export function moveFocus(links, step) {
  if (!links.length) return false;
  const current = links.findIndex((link) => link === document.activeElement);
  links[current < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(current + step, 0), links.length - 1)].focus();
  return true;
}
