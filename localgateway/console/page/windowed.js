// A list of which only the visible part is in the document, for thousands of lines.

import { h } from "./dom.js";

const MARGIN = 6;

export class Windowed {
  #get = () => undefined;
  #count = 0;
  #rows = [];
  #active = 0;
  #height = 0;

  /**
   * `create()` returns a row with one button in it, `update(row, item)` fills it, and `key(item)`
   * tells items apart. The height of a row is the CSS variable `--row` in px.
   */
  constructor({ label, create, update, key, head }) {
    this.create = create;
    this.update = update;
    this.key = key;
    this.space = h("div", { class: "space", role: "rowgroup" });
    this.scroller = h("div", { class: "scroller", role: "table", "aria-label": label }, head, this.space);
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.scroller.addEventListener("keydown", (event) => this.#move(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.scroller);
  }

  /** Shows `count` items, which `get(index)` returns; what is being looked at stays in place. */
  show(count, get) {
    const anchored = this.scroller.scrollTop > 0 ? this.#anchor() : null;
    this.#count = count;
    this.#get = get;
    if (anchored) {
      for (let index = 0; index < count; index += 1) {
        if (this.key(get(index)) === anchored.key) {
          const moved = (index - anchored.index) * this.#height;
          if (moved) this.scroller.scrollTop += moved;
          break;
        }
      }
    }
    this.draw();
  }

  /** Draws the visible rows anew. */
  draw() {
    this.#height = Number.parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 44;
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.#height) - MARGIN);
    const visible = Math.ceil(this.scroller.clientHeight / this.#height) + 2 * MARGIN;
    const last = Math.min(this.#count, first + visible);
    this.space.style.height = `${this.#count * this.#height}px`;
    this.scroller.setAttribute("aria-rowcount", this.#count);
    if (this.#active >= this.#count) this.#active = Math.max(0, this.#count - 1);
    while (this.#rows.length < last - first) this.#add();
    this.#rows.forEach((row, number) => {
      const index = first + number;
      row.hidden = index >= last;
      if (row.hidden) return;
      row.style.transform = `translateY(${index * this.#height}px)`;
      row.setAttribute("aria-rowindex", index + 1);
      row.index = index;
      const near = this.#active >= first && this.#active < last ? this.#active : first;
      row.querySelector("button, a").tabIndex = index === near ? 0 : -1;
      this.update(row, this.#get(index));
    });
  }

  /** Removes what watches the size. */
  destroy() {
    this.observer.disconnect();
  }

  #add() {
    const row = this.create();
    row.setAttribute("role", "row");
    row.classList.add("row");
    row.addEventListener("focusin", () => (this.#active = row.index));
    this.#rows.push(row);
    this.space.append(row);
  }

  #anchor() {
    const index = Math.floor(this.scroller.scrollTop / this.#height);
    const item = this.#get(index);
    return item === undefined ? null : { index, key: this.key(item) };
  }

  #move(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.#height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    this.#active = Math.min(Math.max(0, this.#active + steps[event.key]), this.#count - 1);
    const top = this.#active * this.#height;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    const bottom = top + this.#height - this.scroller.clientHeight + this.space.offsetTop;
    if (bottom > this.scroller.scrollTop) this.scroller.scrollTop = bottom;
    this.draw();
    this.#rows.find((row) => !row.hidden && row.index === this.#active)?.querySelector("button, a").focus();
  }
}
