// Draws the plots: SVG for the eye, a table for everyone. It knows nothing of Daypass.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const GAP = 0.2;

/** Make an element; children are nodes or text, never markup. */
export function make(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function draw(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((each) => each != null));
  return element;
}

/** Return the next number of 1, 2, 4, 6, 8, 10, 20, … that is not below `most`; the half of most of them is whole. */
function above(most) {
  const power = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 4, 6, 8, 10].map((each) => each * power).find((each) => each >= most) ?? 1;
}

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });
export const number = (value) => (value == null ? "–" : (value < 10_000 ? exact : short).format(value));

/**
 * One plot. `series` has a `name` and a `label` for each line or layer of the bars; a redraw keeps an open table open,
 * and the elements that have the focus.
 */
export class Plot {
  #series;
  #lines;
  #say;
  #shown = null;
  #at = null;

  constructor({ title, series, lines = false, say = number }) {
    this.#series = series;
    this.#lines = lines;
    this.#say = say;
    this.svg = draw("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.values = series.map(() => make("b"));
    this.when = make("span", { class: "when" });
    this.left = [make("span"), make("span")];
    this.below = [make("span"), make("span"), make("span")];
    this.table = make("details", { toggle: () => this.#fillTable() }, make("summary", {}, "Table"));
    const keys = series.map(({ label }, index) => make("li", {}, make("i", { class: `key c${index}` }), `${label} `, this.values[index]));
    this.element = make(
      "figure",
      { class: "card plot" },
      make("figcaption", {}, make("h2", {}, title), this.when),
      make("ul", { class: "legend" }, ...keys),
      make(
        "div",
        { class: "area", pointermove: (event) => this.#point(event), pointerleave: () => this.#leave() },
        this.svg,
        make("div", { class: "left", "aria-hidden": true }, ...this.left),
      ),
      make("div", { class: "below", "aria-hidden": true }, ...this.below),
      this.table,
    );
    this.title = title;
  }

  /** Draw `values`, by name of a series, for intervals of `width` ms from `first` on; `summary` is for all of them. */
  show({ values, first, width, summary }) {
    this.#shown = { values, first, width, summary, count: values[this.#series[0].name].length };
    this.#draw();
    this.#write();
    this.#fillTable();
  }

  #time(index) {
    const at = new Date(this.#shown.first + index * this.#shown.width);
    return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }

  #draw() {
    const { values, count, summary } = this.#shown;
    const each = this.#series.map(({ name }) => values[name]);
    const sums = Array.from({ length: count }, (_, at) => each.reduce((sum, list) => sum + (list[at] ?? 0), 0));
    const most = above(Math.max(this.#lines ? Math.max(0, ...each.flat().map((value) => value ?? 0)) : Math.max(0, ...sums)));
    const y = (value) => HEIGHT - (value / most) * HEIGHT;
    const step = 100 / count;
    const grid = [0, 0.5].map((share) => draw("line", { class: "grid", x1: 0, x2: 100, y1: share * HEIGHT, y2: share * HEIGHT }));
    const marks = this.#lines ? each.map((list, index) => this.#line(list, index, step, y)) : this.#bars(each, step, y);
    this.cursor = draw("rect", { class: "cursor", y: 0, width: step, height: HEIGHT, visibility: "hidden" });
    this.svg.replaceChildren(this.cursor, ...grid, ...marks);
    const said = this.#series.map(({ label, name }) => `${label} ${this.#say(summary[name])}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}, ${this.#time(0)} to ${this.#time(count)}: ${said}`);
    this.left[0].textContent = this.#say(most);
    this.left[1].textContent = this.#lines || most > 1 ? this.#say(most / 2) : "";
    [0, count / 2, count].forEach((at, place) => (this.below[place].textContent = this.#time(at)));
  }

  #bars(each, step, y) {
    const floor = each[0].map(() => 0);
    return each.map((list, index) => {
      const bars = list.flatMap((value, at) => {
        if (!value) return [];
        const [from, to] = [y(floor[at]), y((floor[at] += value))];
        return `M${at * step + (step * GAP) / 2} ${from}V${to}h${step * (1 - GAP)}V${from}z`;
      });
      return draw("path", { class: `bars c${index}`, d: bars.join("") || "M0 0" });
    });
  }

  #line(list, index, step, y) {
    let pen = "M";
    const points = list.map((value, at) => {
      if (value == null) return (pen = "M"), "";
      const point = `${pen}${(at + 0.5) * step} ${y(value)}`;
      const dot = list[at - 1] == null && list[at + 1] == null ? "h0" : "";
      pen = "L";
      return point + dot;
    });
    return draw("path", { class: `line c${index}`, d: points.join("") || "M0 0" });
  }

  #point(event) {
    if (!this.#shown) return;
    const { left, width } = this.svg.getBoundingClientRect();
    const at = Math.floor(((event.clientX - left) / width) * this.#shown.count);
    this.#at = at >= 0 && at < this.#shown.count ? at : null;
    this.#write();
  }

  #leave() {
    this.#at = null;
    this.#write();
  }

  #write() {
    if (!this.#shown) return;
    const { values, summary, count } = this.#shown;
    const at = this.#at;
    this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) this.cursor.setAttribute("x", (at * 100) / count);
    this.when.textContent = at === null ? "" : this.#time(at);
    this.#series.forEach(({ name }, index) => {
      this.values[index].textContent = this.#say(at === null ? summary[name] : values[name][at]);
    });
  }

  #fillTable() {
    const old = this.table.querySelector(".scroll");
    if (!this.table.open || !this.#shown) return old?.remove();
    const { values, count } = this.#shown;
    const head = make("tr", {}, make("th", { scope: "col" }, "Time"), ...this.#series.map(({ label }) => make("th", { scope: "col" }, label)));
    const rows = Array.from({ length: count }, (_, index) => {
      const at = count - 1 - index;
      const cells = this.#series.map(({ name }) => make("td", {}, this.#say(values[name][at])));
      return make("tr", {}, make("th", { scope: "row" }, this.#time(at)), ...cells);
    });
    const table = make("table", {}, make("caption", { class: "unseen" }, this.title), make("thead", {}, head), make("tbody", {}, ...rows));
    if (old) old.replaceChildren(table);
    else this.table.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${this.title}, table` }, table));
  }
}
