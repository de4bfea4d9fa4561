"use strict";
(() => {
  const { runs, colours, plot, browser } = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const PAGE = 25; // rows
  const NAMED = 6; // runs that have their names in the plot; of more the legend tells
  const WORDS = { s: "✓ success", f: "✗ failure", e: "! error", n: "– not recorded" };
  // A run is told by its shape and its dashes, too, not by its colour alone.
  const SHAPES = ["M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z", "M-5-5h10v10h-10z", "M0-7l7 12h-14z", "M0-7l6 7l-6 7l-6-7z",
    "M0 7l7-12h-14z", "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z", "M-7-4h14v8h-14z", "M-3-7h6v14h-6z"];
  const DASHES = ["", "6 3", "2 2", "8 3 2 3", "10 4", "1 3"];
  const colour = (run) => {
    const chosen = colours[run % colours.length];
    return chosen === "#000000" ? "currentColor" : chosen; // black would be lost on a dark page
  };
  const $ = (id) => document.getElementById(id);

  function put(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const html = (tag, attributes = {}, ...children) => put(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
  const shape = (run) => svg("path", { d: SHAPES[run % SHAPES.length], fill: colour(run) });
  const key = (run) => svg("svg", { class: "key", viewBox: "-9 -9 18 18", "aria-hidden": "true" }, shape(run));
  const options = (select, pairs) =>
    select.replaceChildren(...pairs.map(([value, text]) => html("option", { value }, text)));

  function round(value) {
    return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3);
  }
  function ticks(most) {
    const raw = most / 5, unit = 10 ** Math.floor(Math.log10(raw));
    const step = unit * [1, 2, 2.5, 5, 10].find((each) => each * unit >= raw);
    return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
  }

  /* Axes from 0: the drawing, and functions from values to places. */
  function axes(width, height, mostX, mostY, labelX, labelY, attributes) {
    const left = 46, bottom = 42, top = 22, right = 14;
    const x = (value) => left + (value / mostX) * (width - left - right);
    const y = (value) => height - bottom - (value / mostY) * (height - bottom - top);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, ...attributes });
    const line = (x1, y1, x2, y2) => svg("line", { class: "grid", x1, y1, x2, y2 });
    for (const value of ticks(mostY)) {
      drawing.append(line(left, y(value), width - right, y(value)));
      drawing.append(svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, String(value)));
    }
    for (const value of ticks(mostX)) {
      drawing.append(line(x(value), height - bottom, x(value), height - bottom + 5));
      drawing.append(svg("text", { x: x(value), y: height - bottom + 19, "text-anchor": "middle" }, String(value)));
    }
    drawing.append(svg("text", { x: width - right, y: height - 5, "text-anchor": "end" }, labelX));
    drawing.append(svg("text", { x: 2, y: 12 }, labelY));
    return { drawing, x, y };
  }

  /* On the side with more room, and below names that are there. */
  function nameBeside(run, x, y, width, names) {
    const side = x > width / 2 ? -1 : 1;
    let low = y + 5;
    for (const other of names.filter((each) => Math.abs(each.x - x) < 160 && each.side === side).sort((a, b) => a.low - b.low)) {
      if (Math.abs(other.low - low) < 15) low = other.low + 15;
    }
    names.push({ x, low, side });
    return svg("text", { x: x + 12 * side, y: low, class: "name", "text-anchor": side < 0 ? "end" : "start" }, runs[run]);
  }

  function startPlot() {
    const shown = new Set(runs.keys());
    options($("plot-axis"), Object.entries(plot.axes));
    const suites = [...new Set(plot.points.map((point) => point.suite))];
    options($("plot-suite"), suites.map((suite) => [suite, suite || "all"]));
    for (const [run, name] of runs.entries()) {
      if (!plot.points.some((point) => point.run === run)) continue;
      const box = html("input", { type: "checkbox", id: `shown-${run}` });
      box.checked = true;
      box.addEventListener("change", () => { box.checked ? shown.add(run) : shown.delete(run); drawPlot(); });
      $("plot-legend").append(html("label", {}, box, key(run), name));
    }
    function drawPlot() {
      const axis = $("plot-axis").value, suite = $("plot-suite").value;
      const all = plot.points.filter((point) => point.suite === suite && point.costs[axis] != null);
      const most = 1.08 * Math.max(...all.map((point) => point.costs[axis]), 1e-9);
      const width = Math.max(300, $("plot-drawn").clientWidth), height = width < 500 ? 300 : 380;
      const label = { role: "group", "aria-label": `Success rate in percent against ${plot.axes[axis]}` };
      const { drawing, x, y } = axes(width, height, most, 100, plot.axes[axis], "success rate, % (95 % interval)", label);
      const names = []; // where names of runs stand
      for (const point of all.filter((each) => shown.has(each.run))) {
        const percent = (value) => (100 * value).toFixed(1);
        const said = `${runs[point.run]}: ${percent(point.rate)} % [${percent(point.low)}, ${percent(point.high)}] of ` +
          `${point.n} init states, ${round(point.costs[axis])} ${plot.axes[axis]}`;
        const at = x(point.costs[axis]);
        const group = svg("g", { class: "point", tabindex: 0, role: "button", "aria-label": said },
          svg("line", { x1: at, x2: at, y1: y(100 * point.low), y2: y(100 * point.high), stroke: colour(point.run), "stroke-width": 2 }),
          svg("circle", { class: "halo", cx: at, cy: y(100 * point.rate), r: 12 }),
          svg("g", { transform: `translate(${at} ${y(100 * point.rate)})` }, shape(point.run)));
        const say = () => { $("plot-said").textContent = said; };
        group.addEventListener("pointerenter", say);
        group.addEventListener("focus", say);
        group.addEventListener("click", () => showRun(point.run, suite));
        group.addEventListener("keydown", (event) => { if (event.key === "Enter") showRun(point.run, suite); });
        if (runs.length <= NAMED) group.append(nameBeside(point.run, at, y(100 * point.rate), width, names));
        drawing.append(group);
      }
      $("plot-drawn").replaceChildren(drawing);
    }
    $("plot-form").addEventListener("change", drawPlot);
    window.addEventListener("resize", drawPlot);
    drawPlot();
  }

  function showRun(run, suite) {
    $("filters").reset();
    $("by-run").value = String(run);
    $("by-suite").value = suite;
    refilter();
    $("episodes").scrollIntoView();
    $("by-run").focus();
  }

  let found = [], first = 0;
  const outcome = (run, place) => browser.outcomes[run][place];
  const detail = (run, place) => browser.details[run][place] || {};
  const letter = (run, place) => outcome(run, place)?.[0] ?? "n";
  function title(place) {
    const [task, init, repeat] = browser.episodes[place];
    const [suite, number] = browser.tasks[task];
    return `${suite} ${number}, init state ${init}` + (repeat ? `, repeat ${repeat}` : "");
  }
  function wonOnly(run, place) {
    const ended = [...runs.keys()].filter((other) => other !== run && browser.groups[other] === browser.groups[run] &&
      "sf".includes(letter(other, place)));
    return letter(run, place) === "s" && ended.length > 0 && ended.every((other) => letter(other, place) === "f");
  }

  function startBrowser() {
    const any = ["", "any"], named = runs.map((name, run) => [String(run), name]);
    options($("by-suite"), [any, ...[...new Set(browser.tasks.map(([suite]) => suite))].map((suite) => [suite, suite])]);
    options($("by-run"), [any, ...named]);
    options($("by-winner"), [["", "–"], ...named]);
    $("filters").addEventListener("change", refilter);
    $("filters").addEventListener("reset", () => setTimeout(refilter)); // the values are reset after this event
    $("before").addEventListener("click", () => turn(-1));
    $("after").addEventListener("click", () => turn(1));
    $("rows").addEventListener("keydown", onKey);
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
        event.preventDefault();
        $("by-suite").focus();
      }
    });
    refilter();
  }

  function refilter() {
    const suite = $("by-suite").value, status = $("by-status").value, film = $("by-film").checked;
    const own = browser.tasks.map((task, place) => [task, place]).filter(([task]) => !suite || task[0] === suite);
    const before = $("by-task").value;
    options($("by-task"), [["", "any"], ...own.map(([task, place]) => [String(place), `${task[0]} ${task[1]}: ${task[2]}`])]);
    $("by-task").value = own.some(([, place]) => String(place) === before) ? before : "";
    const task = $("by-task").value, winner = $("by-winner").value;
    const of = $("by-run").value ? [Number($("by-run").value)] : [...runs.keys()];
    found = [...browser.episodes.keys()].filter((place) => {
      const at = browser.episodes[place][0];
      return (!suite || browser.tasks[at][0] === suite) && (!task || String(at) === task) &&
        of.some((run) => (status ? letter(run, place) === status : outcome(run, place)) && (!film || detail(run, place).film)) &&
        (!winner || wonOnly(Number(winner), place));
    });
    first = 0;
    list();
    choose(found.length ? found[0] : null);
  }

  function list() {
    const rows = found.slice(first, first + PAGE).map((place) => {
      const button = html("button", { type: "button", "data-place": place }, title(place));
      button.addEventListener("focus", () => choose(place));
      button.addEventListener("click", () => choose(place));
      const task = browser.tasks[browser.episodes[place][0]];
      const cells = runs.map((_, run) => {
        const [, steps, , kept] = outcome(run, place) || [];
        const cell = html("td", {}, html("span", { class: letter(run, place) }, WORDS[letter(run, place)]));
        if (steps) cell.append(html("small", {}, `${steps} steps` + (kept == null ? "" : `, ${kept} tokens`)));
        return cell;
      });
      return html("tr", {}, html("th", { scope: "row" }, button, html("small", {}, task[2])), ...cells);
    });
    $("rows").tBodies[0].replaceChildren(...rows);
    const last = Math.min(first + PAGE, found.length);
    $("count").textContent = found.length ? `${first + 1} to ${last} of ${found.length} episodes` : "No episode is like that.";
    $("before").disabled = first === 0;
    $("after").disabled = last >= found.length;
  }

  function turn(by) {
    const to = first + by * PAGE;
    if (to < 0 || to >= found.length) return;
    first = to;
    list();
    choose(found[first]);
  }

  function onKey(event) {
    const buttons = [...$("rows").querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    const by = { PageDown: 1, PageUp: -1 }[event.key] ?? (to === buttons.length ? 1 : to < 0 ? -1 : 0);
    if (at < 0 || (to === undefined && !by)) return;
    event.preventDefault();
    if (!by) return buttons[to].focus();
    const before = first;
    turn(by);
    if (first !== before) [...$("rows").querySelectorAll("button")].at(event.key === "ArrowUp" ? -1 : 0).focus();
  }

  function choose(place) {
    for (const button of $("rows").querySelectorAll("button")) {
      const own = Number(button.dataset.place) === place;
      button.closest("tr").classList.toggle("chosen", own);
      own ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    }
    if (place === null) return $("episode").replaceChildren();
    const task = browser.tasks[browser.episodes[place][0]];
    const own = [...runs.keys()].filter((run) => outcome(run, place));
    $("episode").replaceChildren(html("h3", {}, title(place)), html("p", {}, task[2]), keptChart(place, own),
      ...own.map((run) => shownRun(run, place)));
  }

  function shownRun(run, place) {
    const [status, steps, queries, kept] = outcome(run, place), { film, picture, error } = detail(run, place);
    const words = `${steps} steps, ${queries} queries` + (kept == null ? "" : `, ${kept} image tokens a query`);
    const caption = html("figcaption", {}, key(run), " ", html("b", {}, runs[run]), " ",
      html("span", { class: status }, WORDS[status]), html("br"), words);
    const figure = html("figure", {}, caption);
    const poster = picture && `data:image/jpeg;base64,${picture}`;
    const about = `Film of ${runs[run]}, ${title(place)}, ${WORDS[status].slice(2)}`;
    if (film) {
      figure.prepend(html("video", { controls: "", preload: "none", src: film, "aria-label": about, ...(poster && { poster }) }));
      caption.append(html("br"), html("a", { href: film }, "film"));
    }
    if (error) caption.append(html("br"), error);
    return figure;
  }

  function keptChart(place, own) {
    const drawn = own.filter((run) => detail(run, place).kept);
    if (!drawn.length) return html("p", { class: "note" }, "Image tokens of its single queries are not on this page.");
    const lines = drawn.map((run) => [run, detail(run, place)]);
    const mostX = Math.max(1, ...lines.flatMap(([, { at }]) => at)), mostY = 1.1 * Math.max(1, ...lines.flatMap(([, { kept }]) => kept));
    const said = lines.map(([run, { kept }]) => `${runs[run]} ${Math.min(...kept)} to ${Math.max(...kept)}`).join("; ");
    const { drawing, x, y } = axes(400, 190, mostX, mostY, "control step", "image tokens kept",
      { role: "img", "aria-label": `Image tokens kept over the episode: ${said}` });
    for (const [run, { at, kept }] of lines) {
      const points = at.map((step, i) => `${x(step)},${y(kept[i])}`).join(" ");
      drawing.append(svg("polyline", { points, fill: "none", stroke: colour(run), "stroke-width": 2,
        "stroke-dasharray": DASHES[run % DASHES.length] }));
      drawing.append(svg("g", { transform: `translate(${x(at.at(-1))} ${y(kept.at(-1))})` }, shape(run)));
    }
    return drawing;
  }

  if (plot) startPlot();
  if (browser.episodes.length) startBrowser();
})();
