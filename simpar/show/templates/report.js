"use strict";

// -- light and dark: the system's choice until the button is pressed ------------------------------

(function () {
  const root = document.documentElement, button = document.getElementById("theme");
  const prefers = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefers.matches ? "dark" : "light")) === "dark";
  const say = () => { button.textContent = isDark() ? "Light" : "Dark";
                      button.setAttribute("aria-label", "Switch to " + (isDark() ? "light" : "dark")); };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; say(); });
  prefers.addEventListener("change", say);
  button.hidden = false;
  say();
})();

// -- tables: a heading sorts its column, again the other way round; what has no value stays last ------

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], headings = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  const valueOf = (row, column) => {
    const value = row.cells[column].dataset.value;
    return value === undefined ? null : column === 0 ? value : Number(value);
  };
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    headings.forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sorted = [...original].sort((a, b) => {
      const x = valueOf(a, column), y = valueOf(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = column === 0 ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return down ? -order : order;
    });
    body.append(...sorted);
  }));
}

// -- the timeline -------------------------------------------------------------------------------------

(function () {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const timelines = read("timelines"), colours = read("causes");
  const [plot, axis, lanes, tip, cut, which] =
    ["plot", "axis", "lanes", "tip", "plot-cut", "which"].map((id) => document.getElementById(id));
  const LANE = 20, BAR = 13, HEAD = 24, SHORTEST = 20;  // pixels, and nanoseconds across the whole plot
  // Columns of a bar, as the page's data has them.
  const ON = 0, START = 1, LENGTH = 2, TASK = 3, PHASE = 4, CAUSE = 5, BYTES = 6, CRITICAL = 7;
  let shown = null, from = 0, span = 1, width = 0, gutter = 0, shapes = [], chosen = -1, drag = null;

  const element = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.append(made);
    return made;
  };
  const spelt = (ns) => {
    const [unit, scale] = ns >= 1e9 ? ["s", 1e9] : ns >= 1e6 ? ["ms", 1e6] : ns >= 1e3 ? ["us", 1e3] : ["ns", 1];
    return Number((ns / scale).toPrecision(5)) + " " + unit;
  };
  const size = (bytes) => {
    const [unit, scale] = bytes >= 1e9 ? ["GB", 1e9] : bytes >= 1e6 ? ["MB", 1e6] : bytes >= 1e3 ? ["kB", 1e3] : ["B", 1];
    return Number((bytes / scale).toPrecision(4)) + " " + unit;
  };
  const laneName = ([machine, name]) => name.startsWith(machine) ? name : machine + " " + name;

  function choose(number) {
    shown = timelines[number];
    from = 0; span = shown.span_ns; chosen = -1;
    const words = shown.what + " of " + shown.label + ", " + spelt(shown.span_ns);
    plot.setAttribute("aria-label", "Timeline of one step: " + words);
    tip.textContent = words + ". Point at a bar, or focus the timeline and press an arrow key.";
    cut.textContent = shown.left_out ? shown.left_out + "." : "";
    cut.hidden = !shown.left_out;
    lanes.scrollTop = 0;
    build();
  }

  function build() {
    width = Math.max(200, lanes.clientWidth);
    const longest = Math.max(...shown.lanes.map((lane) => laneName(lane).length));
    gutter = Math.round(Math.min(width * 0.34, 16 + longest * 6.6));
    const height = shown.lanes.length * LANE;
    lanes.textContent = "";
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}` }, lanes);
    shown.lanes.forEach((lane, number) => {
      if (number % 2) element("rect", { class: "odd", x: 0, y: number * LANE, width, height: LANE }, svg);
    });
    const names = element("svg", { x: 0, y: 0, width: gutter - 6, height }, svg);
    shown.lanes.forEach((lane, number) => {
      const text = element("text", { x: 8, y: number * LANE + 14 }, names);
      text.textContent = laneName(lane);
      element("title", {}, text).textContent = laneName(lane);
    });
    const field = element("svg", { x: gutter, y: 0, width: width - gutter, height }, svg);
    shapes = shown.bars.map((bar, number) => element("rect", {
      "data-bar": number, y: bar[ON] * LANE + (LANE - BAR) / 2, height: BAR,
      fill: colours[shown.causes[bar[CAUSE]]][1], class: bar[CRITICAL] ? "" : "faint",
    }, field));
    draw();
  }

  function draw() {
    const scale = (width - gutter) / span;
    shown.bars.forEach((bar, number) => {
      const x = (bar[START] - from) * scale, wide = Math.max(0.8, bar[LENGTH] * scale);
      const visible = x + wide > 0 && x < width - gutter;
      const shape = shapes[number];
      shape.style.display = visible ? "" : "none";
      if (!visible) return;
      // A browser draws numbers of any size badly: what is far outside is cut off.
      const left = Math.max(-50, x), right = Math.min(width + 50, x + wide);
      shape.setAttribute("x", left.toFixed(2));
      shape.setAttribute("width", (right - left).toFixed(2));
    });
    axis.textContent = "";
    const svg = element("svg", { viewBox: `0 0 ${width} ${HEAD}` }, axis);
    const rough = span / Math.max(2, (width - gutter) / 110), power = 10 ** Math.floor(Math.log10(rough));
    const tick = Math.max(1, power * ([1, 2, 5, 10].find((times) => times * power >= rough) || 10));
    for (let at = Math.ceil(from / tick) * tick; at <= from + span; at += tick) {
      const x = gutter + (at - from) * scale;
      element("line", { class: "grid", x1: x, x2: x, y1: HEAD - 5, y2: HEAD }, svg);
      const end = x > width - 50;
      const text = element("text", { x: end ? x - 3 : x + 3, y: 14, "text-anchor": end ? "end" : "start" }, svg);
      text.textContent = at === 0 ? "0" : spelt(at);
    }
  }

  function look(start, wide) {
    span = Math.min(shown.span_ns, Math.max(SHORTEST, wide));
    from = Math.min(shown.span_ns - span, Math.max(0, start));
    plot.dataset.from = from;
    plot.dataset.span = span;
    draw();
  }

  function zoom(factor, at) {
    const fixed = at === undefined ? from + span / 2 : at;
    const wide = Math.min(shown.span_ns, Math.max(SHORTEST, span * factor));
    look(fixed - (fixed - from) * wide / span, wide);
  }

  function point(number, bring) {
    if (chosen >= 0) shapes[chosen].classList.remove("chosen");
    chosen = number;
    if (number < 0) return;
    const bar = shown.bars[number];
    shapes[number].classList.add("chosen");
    shapes[number].parentNode.append(shapes[number]);
    if (bring) {
      if (bar[START] + bar[LENGTH] < from || bar[START] > from + span) {
        look(bar[START] + bar[LENGTH] / 2 - span / 2, span);
      }
      const top = bar[ON] * LANE;
      if (top < lanes.scrollTop) lanes.scrollTop = top;
      else if (top + LANE > lanes.scrollTop + lanes.clientHeight) lanes.scrollTop = top + LANE - lanes.clientHeight;
    }
    tip.textContent = shown.tasks[bar[TASK]] + ": " + shown.phases[bar[PHASE]] + " on "
      + laneName(shown.lanes[bar[ON]]) + ", " + spelt(bar[LENGTH]) + " from " + spelt(bar[START])
      + " on" + (bar[BYTES] ? ", " + size(bar[BYTES]) : "") + (bar[CRITICAL] ? ", on the critical path" : "");
  }

  function step(direction) {
    if (chosen < 0) return point(first(0), true);
    const lane = shown.bars[chosen][ON];
    const next = chosen + direction;
    if (next >= 0 && next < shown.bars.length && shown.bars[next][ON] === lane) point(next, true);
  }

  function change(direction) {
    if (chosen < 0) return point(first(0), true);
    const bar = shown.bars[chosen], middle = bar[START] + bar[LENGTH] / 2;
    const lane = bar[ON] + direction;
    if (lane < 0 || lane >= shown.lanes.length) return undefined;
    let best = -1, least = Infinity;
    shown.bars.forEach((other, number) => {
      const away = Math.max(other[START] - middle, middle - other[START] - other[LENGTH], 0);
      if (other[ON] === lane && away < least) { best = number; least = away; }
    });
    return point(best, true);
  }

  const first = (lane) => shown.bars.findIndex((bar) => bar[ON] === lane);

  const actions = {
    in: () => zoom(0.5, centre()), out: () => zoom(2, centre()),
    left: () => look(from - span / 4, span), right: () => look(from + span / 4, span),
    all: () => look(0, shown.span_ns),
  };

  function centre() {
    if (chosen < 0) return undefined;
    const middle = shown.bars[chosen][START] + shown.bars[chosen][LENGTH] / 2;
    return middle >= from && middle <= from + span ? middle : undefined;
  }

  for (const button of viewer.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => actions[button.dataset.do]());
  }
  which.addEventListener("change", () => choose(Number(which.value)));

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shifted = event.shiftKey;
    const does = {
      "+": actions.in, "=": actions.in, "-": actions.out, "\u2212": actions.out, "_": actions.out,
      "Home": actions.all,
      "ArrowLeft": shifted ? actions.left : () => step(-1), "ArrowRight": shifted ? actions.right : () => step(1),
      "ArrowUp": () => change(-1), "ArrowDown": () => change(1),
    }[event.key];
    if (does) { event.preventDefault(); does(); }
  });

  const timeAt = (event) => {
    const box = lanes.getBoundingClientRect();
    const x = Math.max(0, event.clientX - box.left - gutter);
    return from + Math.min(1, x / (width - gutter)) * span;
  };

  plot.addEventListener("wheel", (event) => {
    if (document.activeElement !== plot && !event.ctrlKey) return;
    event.preventDefault();
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (sideways) look(from + (event.deltaX || event.deltaY) / (width - gutter) * span, span);
    else zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
  }, { passive: false });

  lanes.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.offsetX > lanes.clientWidth) return;
    drag = { x: event.clientX, from, pointer: event.pointerId };
  });
  lanes.addEventListener("pointermove", (event) => {
    if (drag && drag.pointer === event.pointerId && (event.buttons & 1)) {
      const moved = event.clientX - drag.x;
      if (Math.abs(moved) > 3) {
        plot.classList.add("moving");
        lanes.setPointerCapture(event.pointerId);
        look(drag.from - moved / (width - gutter) * span, span);
      }
      return;
    }
    const number = event.target.dataset ? event.target.dataset.bar : undefined;
    if (number !== undefined && Number(number) !== chosen) point(Number(number), false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    lanes.addEventListener(end, (event) => {
      drag = null;
      plot.classList.remove("moving");
      const number = event.target.dataset ? event.target.dataset.bar : undefined;
      if (end === "pointerup" && number !== undefined) point(Number(number), false);
    });
  }

  viewer.hidden = false;
  choose(0);
  new ResizeObserver(() => {
    if (Math.max(200, lanes.clientWidth) === width) return;
    const [at, wide] = [from, span];
    build();
    look(at, wide);
  }).observe(plot);
})();
