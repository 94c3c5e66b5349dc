/* The interactive figures of the book: see book/paper/explore.py. Plain SVG and native controls, so that they
   work from a file, by keyboard, and in both colour modes. */
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b",
    "#fde725"];
  const RDBU = ["#67001f", "#d6604d", "#fddbc7", "#f7f7f7", "#d1e5f0", "#4393c3", "#053061"];
  let counter = 0;

  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const drawn = (name, attributes = {}) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const between = (scale, share) => {
    const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
    const i = Math.min(Math.floor(place), scale.length - 2), t = place - i;
    const part = (color, at) => parseInt(color.slice(at, at + 2), 16);
    return `rgb(${[1, 3, 5].map(at => Math.round(part(scale[i], at) * (1 - t) + part(scale[i + 1], at) * t)).join()})`;
  };
  const choice = (label, options, selected, listener) => {
    const id = `explore-${++counter}`;
    const list = element("select", {id});
    options.forEach(([group, entries]) => {
      const place = group ? list.appendChild(element("optgroup", {label: group})) : list;
      entries.forEach(([value, text]) => place.append(element("option", {value}, text)));
    });
    list.value = selected;
    list.addEventListener("change", () => listener(list.value));
    return element("div", {class: "choice"}, element("label", {for: id}, label), list);
  };

  /* Panels of cells side by side, in one SVG. `cells` are indices; `panels` the panel of each cell. */
  function cellPanels(xy, panels, titles, columns, narrow = false, bands = []) {
    const gap = 0.06, boxes = titles.map(() => [Infinity, Infinity, -Infinity, -Infinity]);
    panels.forEach((p, i) => {
      const b = boxes[p], x = xy[0][i], y = xy[1][i];
      boxes[p] = [Math.min(b[0], x), Math.min(b[1], y), Math.max(b[2], x), Math.max(b[3], y)];
    });
    const wide = Math.max(...boxes.map(b => b[2] - b[0])), high = Math.max(...boxes.map(b => b[3] - b[1]));
    const unit = 1000 / Math.max(wide, 1e-9) / columns, head = titles.length < 2 && !bands.length ? 0 : narrow ? 52 : 36;
    const margin = 16, stepX = wide * unit * (1 + gap) + 2 * margin, stepY = high * unit + head + 2 * margin;
    const rows = Math.ceil(titles.length / columns);
    const area = (stepX - wide * unit * gap) * stepY * titles.length;
    const radius = Math.min(14, Math.max(3, 0.42 * Math.sqrt(area / Math.max(panels.length, 1))));
    const svg = drawn("svg", {viewBox: `0 0 ${(stepX * columns).toFixed(0)} ${(stepY * rows).toFixed(0)}`,
      class: "cells", tabindex: "0", role: "application"});
    const origin = p => [(p % columns) * stepX + margin, Math.floor(p / columns) * stepY + head + margin];
    titles.forEach((title, p) => {
      if (titles.length < 2) return;
      const [x, y] = origin(p), text = drawn("text", {x: x + (boxes[p][2] - boxes[p][0]) * unit / 2, y: y - margin - 8,
        "text-anchor": "middle"});
      text.textContent = title;
      svg.append(text);
    });
    const circles = panels.map((p, i) => {
      const [x, y] = origin(p), b = boxes[p];
      return drawn("circle", {cx: (x + (xy[0][i] - b[0]) * unit).toFixed(1),
        cy: (y + (xy[1][i] - b[1]) * unit).toFixed(1), r: radius.toFixed(1)});  // y downwards, as in images
    });
    const top = origin(0)[1] - margin, bottom = stepY - margin / 2;
    for (const [name, low, high] of bands) {  // along the first coordinate of the only panel
      const at = value => origin(0)[0] + (value - boxes[0][0]) * unit;
      for (const border of [low, high]) {
        svg.append(drawn("line", {class: "border", x1: at(border).toFixed(1), x2: at(border).toFixed(1), y1: top,
          y2: bottom.toFixed(1)}));
      }
      const text = drawn("text", {class: "band", x: at((low + high) / 2).toFixed(1), y: narrow ? 34 : 26,
        "text-anchor": "middle"});
      text.textContent = name;
      svg.append(text);
    }
    svg.append(...circles);
    return {svg, marks: circles, center: i => [+circles[i].getAttribute("cx"), +circles[i].getAttribute("cy")]};
  }

  /* The entries of a square matrix, row by row, as boxes of one SVG; `name` writes the names of its rows and columns. */
  function matrixBoxes(size) {
    const room = 146, svg = drawn("svg", {viewBox: `${-room} ${-room} ${400 + room} ${400 + room}`, class: "matrix",
      tabindex: "0", role: "application"});
    const side = 400 / size, center = i => [(i % size + 0.5) * side, (Math.floor(i / size) + 0.5) * side];
    const texts = Array.from({length: size}, (_, k) => {
      const at = ((k + 0.5) * side).toFixed(1);
      return [drawn("text", {x: -8, y: +at + 5, "text-anchor": "end"}), drawn("text", {transform: `translate(${+at + 5} -8) rotate(-90)`})];
    });
    const boxes = Array.from({length: size * size}, (_, i) => drawn("rect", {x: (center(i)[0] - side / 2).toFixed(1),
      y: (center(i)[1] - side / 2).toFixed(1), width: side.toFixed(1), height: side.toFixed(1)}));
    svg.append(...texts.flat(), ...boxes);
    const name = names => texts.forEach(pair => pair.forEach(text => { text.textContent = names[texts.indexOf(pair)]; }));
    return {svg, marks: boxes, center, name};
  }

  /* Point at a mark (a cell, an entry), or walk with the arrow keys; `tell` gets the number of the mark. */
  function pointing({svg, marks, center}, tell) {
    let at = -1;
    marks.forEach((mark, i) => { mark.index = i; });
    const go = i => {
      marks[at]?.classList.remove("here");
      at = i;
      marks[at].classList.add("here");
      svg.append(marks[at]);  // on top of the others
      tell(at);
    };
    svg.addEventListener("pointerover", event => event.target.index !== undefined && go(event.target.index));
    svg.addEventListener("click", event => event.target.index !== undefined && go(event.target.index));
    svg.addEventListener("keydown", event => {
      const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!way) return;
      event.preventDefault();
      if (at < 0) return go(0);
      const [x, y] = center(at);
      let best = -1, least = Infinity;
      marks.forEach((_, i) => {
        const [u, v] = center(i), along = (u - x) * way[0] + (v - y) * way[1];
        const aside = Math.abs((u - x) * way[1]) + Math.abs((v - y) * way[0]);
        if (along > 0.5 && along + 2 * aside < least) { best = i; least = along + 2 * aside; }
      });
      if (best >= 0) go(best);
    });
  }

  const swatches = (names, colors) => names.map((name, i) => {
    const dot = element("span", {class: "dot"});
    dot.style.background = colors[i];
    return element("li", {}, dot, name);
  });
  /* A legend whose entries are buttons: a click shows the cells of these labels only. */
  const buttons = (codes, sheet, counts, chosen, listener) => codes.map(code => {
    const dot = element("span", {class: "dot"});
    dot.style.background = sheet.colors[code];
    const button = element("button", {type: "button", "aria-pressed": String(chosen.has(code))}, dot,
      `${sheet.of[code]} (${counts[code]})`);
    button.addEventListener("click", () => {
      if (!chosen.delete(code)) chosen.add(code);
      listener();
    });
    return element("li", {}, button);
  });
  const scaleBar = (scale, low, high) => {
    const bar = element("span", {class: "scale"});
    bar.style.background = `linear-gradient(to right, ${scale.join()})`;
    return [element("li", {}, String(low), bar, String(high))];
  };

  function drawMap(root, data) {
    const state = {by: ["l0", ""], sample: "all", only: {}};  // the second map is beside the first, if it has a sheet
    const rooms = element("div", {class: "halves"}), said = element("p", {class: "said", "aria-live": "polite"});
    const sides = [0, 1].map(() => ({room: element("div", {class: "room"}), legend: element("ul", {class: "legend"}),
      title: element("p", {class: "sheet"})}));
    sides.forEach(side => { side.box = element("div", {}, side.title, side.room, side.legend); });
    const value = (sheet, i) => (sheet.steps[i] < 255 ? "" : "at least ")  // the scale ends at the 99th percentile
      + (sheet.low + (sheet.high - sheet.low) * sheet.steps[i] / 255).toPrecision(2);
    const start = "Point at a cell, or move from cell to cell with the arrow keys. Click on the legend to show one type.";
    const sheetOf = by => (by[0] === "l" ? data.labels : data.values)[+by.slice(1)];
    const chosenOf = by => (state.only[by] ??= new Set());
    const visible = () => state.by.map((by, side) => [by, side]).filter(([by]) => by);
    const isShown = i => visible().every(([by]) => {
      const sheet = sheetOf(by);
      return !sheet.codes || !chosenOf(by).size || chosenOf(by).has(sheet.codes[i]);
    });

    function paint() {
      visible().forEach(([by, side]) => {
        const sheet = sheetOf(by), {room, legend, title} = sides[side];
        title.textContent = state.by[1] ? sheet.name : "";
        room.querySelectorAll("circle").forEach(c => {
          const i = data.shown[c.index];
          c.setAttribute("fill", sheet.codes ? sheet.colors[sheet.codes[i]] : between(VIRIDIS, sheet.steps[i] / 255));
          c.classList.toggle("dim", !isShown(i));
        });
        if (sheet.codes) {
          const counts = sheet.of.map(() => 0);
          data.shown.forEach(i => counts[sheet.codes[i]]++);
          const there = sheet.of.map((_, k) => k).filter(k => counts[k]);
          const focus = [...legend.querySelectorAll("button")].indexOf(document.activeElement);
          legend.replaceChildren(...buttons(there, sheet, counts, chosenOf(by), paint));
          if (focus >= 0) legend.querySelectorAll("button")[focus]?.focus();
        } else {
          legend.replaceChildren(...scaleBar(VIRIDIS, sheet.low, `${sheet.high} and more`));
        }
      });
      said.textContent = start;
    }
    function describe(i) {
      const sheets = visible().map(([by]) => sheetOf(by)), numbers = sheets.filter(sheet => !sheet.codes);
      const shown = data.labels.map(one => `${one.name} ${one.of[one.codes[i]]}`);
      const most = [...data.values].sort((a, b) => b.steps[i] - a.steps[i]).slice(0, 3);  // each on its own scale
      shown.push(...(numbers.length ? numbers : most).map(one => `${one.name} ${value(one, i)}`));
      const place = data.samples.length > 1 ? `, ${data.word} ${data.samples[data.sample[i]]}` : "";
      said.textContent = `${data.names[i] || `cell ${i + 1}`}${place}: ${shown.join(", ")}`;
    }
    function lay() {
      const all = state.sample === "all", drawn = [];
      data.shown = data.sample.map((_, i) => i).filter(i => all || data.sample[i] === +state.sample);
      const titles = all ? data.samples.map(name => data.samples.length > 1 ? `${data.word} ${name}` : "") : [""];
      rooms.replaceChildren(...visible().map(([, side]) => sides[side].box));
      visible().forEach(([, side]) => {
        const {room} = sides[side], width = root.clientWidth / (state.by[1] && !rooms.matches(".stacked") ? 2 : 1);
        const narrow = width < 500, columns = Math.min(titles.length, narrow ? 2 : 3);
        const panels = cellPanels(data.xy.map(axis => data.shown.map(i => axis[i])),
          data.shown.map(i => all ? data.sample[i] : 0), titles, columns, narrow, data.bands);
        panels.svg.setAttribute("aria-label", `${root.getAttribute("aria-label")}; arrow keys move from cell to cell`);
        pointing(panels, k => {
          drawn.filter(other => other !== panels).forEach(other => {  // the same cell in the other map
            other.svg.querySelector(".twin")?.classList.remove("twin");
            other.marks[k].classList.add("twin");
          });
          describe(data.shown[k]);
        });
        panels.svg.classList.toggle("narrow", narrow);
        room.replaceChildren(panels.svg);
        drawn.push(panels);
      });
      paint();
    }
    const byLabel = data.labels.map((sheet, i) => [`l${i}`, sheet.name]);
    const byValue = data.values.map((sheet, i) => [`v${i}`, sheet.name]);
    const groups = [["labels", byLabel], ...(byValue.length ? [["numbers", byValue]] : [])];
    const bar = element("div", {class: "choices"},
      choice("Colour by", groups, state.by[0], by => { state.by[0] = by; lay(); }));
    if (data.samples.length > 1) {
      bar.append(choice(data.word[0].toUpperCase() + data.word.slice(1),
        [["", [["all", "all"], ...data.samples.map((name, i) => [String(i), name])]]], "all",
        sample => { state.sample = sample; lay(); }));
    }
    bar.append(choice("Beside it", [["", [["", "nothing"]]], ...groups], "", by => { state.by[1] = by; lay(); }));
    const extent = data.xy.map(axis => Math.max(...axis) - Math.min(...axis));
    rooms.classList.toggle("stacked", data.samples.length === 1 && extent[0] > 1.6 * extent[1]);  // a long strip
    root.append(bar, rooms, said);
    lay();
  }

  function drawModel(root, data) {
    const id = `explore-${++counter}`, last = data.stops.length - 1;
    const begin = data.default ? data.stops.indexOf(data.default) : Math.round(last / 2);
    const slider = element("input", {type: "range", id, min: 0, max: last, step: 1, value: begin});
    const at = element("output", {for: id}), legend = element("ul", {class: "legend"});
    const said = element("p", {class: "said", "aria-live": "polite"}), numbers = element("dl", {class: "numbers"});
    const panels = cellPanels(data.xy, data.xy[0].map(() => 0), [""], 1);
    const size = data.frames[0].affinity.length, matrix = matrixBoxes(size);
    const limit = Math.max(...data.frames.flatMap(frame => frame.affinity.flat().map(Math.abs)), 1e-9);
    let frame = null, run = data.runs[0];
    const entry = i => frame.affinity[Math.floor(i / size)][i % size];

    function show() {
      const value = data.stops[+slider.value];
      frame = data.frames.find(one => one.at === value && one.run === run);
      at.textContent = value + (value === data.default ? " (default)" : "");
      slider.setAttribute("aria-valuetext", at.textContent);
      panels.marks.forEach((c, i) => c.setAttribute("fill", frame.colors[frame.codes[i]]));
      matrix.name(frame.metagenes);
      matrix.svg.setAttribute("aria-label",
        `Affinity of ${size} metagenes at ${data.setting} ${value}; arrow keys move from entry to entry`);
      matrix.marks.forEach((box, i) => {
        const s = entry(i);
        box.setAttribute("fill", between(RDBU, 0.5 + 0.5 * Math.sign(s) * Math.sqrt(Math.abs(s) / limit)));
      });
      numbers.replaceChildren(...Object.entries(frame.numbers).flatMap(([name, text]) =>
        [element("dt", {}, name), element("dd", {}, text)]));
      legend.replaceChildren(...swatches(frame.of, frame.colors));
      said.textContent = "Point at a cell or at an entry of the matrix, or use the arrow keys.";
    }
    panels.svg.setAttribute("aria-label", "Cells in space, coloured by cluster; arrow keys move from cell to cell");
    pointing(panels, i => { said.textContent = `cell ${i + 1}: ${frame.of[frame.codes[i]]}`; });
    pointing(matrix, i => {
      const [row, column] = [Math.floor(i / size), i % size].map(k => frame.metagenes[k]);
      said.textContent = `metagenes ${row} and ${column}: affinity ${entry(i)} from the mean`;
    });
    slider.addEventListener("input", show);
    const bar = element("div", {class: "choices"},
      element("div", {class: "choice wide"}, element("label", {for: id}, `${data.setting}: `, at), slider));
    if (data.runs.length > 1) {
      bar.append(choice("Run", [["", data.runs.map(name => [name, name])]], run, name => { run = name; show(); }));
    }
    root.append(bar,
      element("div", {class: "halves"},
        element("div", {class: "room"}, panels.svg, legend, numbers),
        element("div", {class: "room"}, matrix.svg,
          element("ul", {class: "legend"},
            ...scaleBar(RDBU, (-limit).toPrecision(2), limit.toPrecision(2)),
            element("li", {}, "affinity minus its mean; red: attraction; colours by its square root")))),
      said);
    show();
  }

  const start = () => document.querySelectorAll(".explorer").forEach(root => {
    const data = JSON.parse(root.querySelector("script").textContent);
    for (const sheet of data.values || []) sheet.steps = Uint8Array.from(atob(sheet.steps), byte => byte.charCodeAt(0));
    root.classList.add("ready");  // shown, so that its width is known
    ({map: drawMap, model: drawModel})[root.dataset.kind](root, data);
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
