// Elements are built from text only: nothing that a client sends can become markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Returns a new element with attributes, listeners (`onclick`) and children. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  if (tag === "button") element.type = "button"; // one that submits a form says so
  return filled(element, properties, children);
}

/** Returns a new element of SVG. */
export function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets an element's text if it differs, which keeps selections and costs nothing otherwise. */
export function text(element, value) {
  const wanted = String(value ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Sets or removes an attribute if it differs. */
export function attribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

let lastId = 0;

/** Returns a labelled field of a form; `control` gets an id. */
export function field(label, control, hint) {
  control.id ||= `field-${(lastId += 1)}`;
  const note = hint ? h("small", { id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** Returns a select with [value, text] options. */
export function select(options, properties) {
  return h("select", properties, options.map(([value, label]) => h("option", { value }, label)));
}
