// Functions that build elements. Text always becomes a text node: nothing in these pages parses HTML.

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export function pageData() {
  return JSON.parse(byId("data").textContent);
}

export function show(node, visible) {
  if (node) node.hidden = !visible;
}

export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

export function readableName(name) {
  return String(name).replaceAll("_", " ");
}

// Shows a problem below a field and marks the control as invalid for screen readers. An empty text removes it.
export function showProblem(field, text) {
  const message = field.querySelector(":scope > .problem");
  const control = field.querySelector(":scope > input, :scope > textarea, :scope > select");
  setText(message, text);
  show(message, Boolean(text));
  if (control) text ? control.setAttribute("aria-invalid", "true") : control.removeAttribute("aria-invalid");
}
