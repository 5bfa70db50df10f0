"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const times = data.time_s;
  const count = times.length;
  const followers = [];  // Each gets the place of the frame that is shown.
  let place = 0;

  // Elements: texts are never parsed as HTML.

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") element.className = value;
      else if (name === "on") element.addEventListener("click", value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((one) => one !== null));
    return element;
  }

  function clock(seconds, digits = 2) {
    const unit = 10 ** digits, all = Math.round(seconds * unit);
    const minutes = Math.floor(all / (60 * unit)), rest = all - minutes * 60 * unit;
    const whole = String(Math.floor(rest / unit)).padStart(2, "0");
    const part = digits ? "." + String(rest % unit).padStart(digits, "0") : "";
    const hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${whole}${part}`
      : `${minutes}:${whole}${part}`;
  }

  const wholePercent = (share) => `${(100 * share).toFixed(0)} %`;
  const percent = (share) => share === null ? "–" : wholePercent(share);
  const speedText = (speed) => speed === null ? "–" : speed.toFixed(3);
  const shareText = (share) => share === null ? "–" : share.toFixed(2);

  // Curves of speeds reach at least so high, in diagonals/s: three times the speed from which on something counts as
  // moving. What a still camera measures, some 0.001, would fill the height otherwise.
  const leastTop = 0.1;

  // What the curves show: name, unit, how a value is written.
  const kinds = [
    {key: "speed_p99", name: "Motion", unit: "fastest hundredth of the picture, diagonals/s", text: speedText, floor: leastTop},
    {key: "moving_share", name: "Moving part", unit: "share of the picture", text: percent, top: 1},
    {key: "camera_speed", name: "Camera", unit: "diagonals/s", text: speedText, floor: leastTop},
    {key: "concentration", name: "Concentration", unit: "of saliency, Gini coefficient", text: shareText, top: 1},
  ].filter((kind) => data.curves[kind.key].some((one) => one !== null));

  /** The place of the last frame that begins at a time or before it. */
  function placeAt(time) {
    let low = 0, high = count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= time + 1e-6) low = middle; else high = middle - 1;
    }
    return low;
  }

  // The player

  const video = data.film
    ? make("video", {controls: "", playsinline: "", preload: "auto", "aria-label": `Overlay of ${data.name}`}) : null;

  function fillScreen() {
    const screen = at("screen");
    if (video) {
      const film = at("film").textContent.trim();
      if (film) {
        const bytes = Uint8Array.from(atob(film), (one) => one.charCodeAt(0));
        video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
      } else {
        video.src = data.film.url;
      }
      at("film").remove();
      video.addEventListener("loadedmetadata", () => {
        screen.parentElement.classList.toggle("tall", video.videoHeight > video.videoWidth);
      });
      video.addEventListener("error", () => {
        at("notes").append(make("p", {class: "note", role: "alert"}, "The video cannot be played: it is not where it was, or the browser does not know its format."));
      });
      for (const event of ["timeupdate", "seeking", "seeked"]) video.addEventListener(event, follow);
      video.addEventListener("play", () => requestAnimationFrame(tick));
      screen.append(video);
    } else {
      const image = make("img", {alt: data.is_photo ? `Overlay of ${data.name}` : ""});
      followers.push(() => { image.src = nearestStill(); });
      screen.append(image);
    }
  }

  function nearestStill() {
    const pictures = data.strip.filter((one) => one.picture).map((one) => [one.place, one.picture]);
    pictures.push(...Object.entries(data.stills).map(([at, url]) => [Number(at), url]));
    pictures.sort((a, b) => Math.abs(a[0] - place) - Math.abs(b[0] - place));
    return pictures.length ? pictures[0][1] : "data:,";
  }

  function tick() {
    follow();
    if (!video.paused && !video.ended) requestAnimationFrame(tick);
  }

  function follow() {
    show(placeAt(video.currentTime - data.film.shift_s));
  }

  function show(now) {
    place = now;
    followers.forEach((one) => one(now));
  }

  /** Show the frame at a place: its middle, so that rounding cannot show the one before it. */
  function seekPlace(wanted) {
    const goal = Math.max(0, Math.min(count - 1, wanted));
    if (video) {
      const next = goal + 1 < count ? times[goal + 1] : data.end_s;
      video.currentTime = Math.max(0, (times[goal] + next) / 2 + data.film.shift_s);
    }
    show(goal);
  }

  const seek = (time) => seekPlace(placeAt(time));

  function play() {
    // A video that cannot be played has said so by then.
    if (video) (video.paused ? video.play().catch(() => {}) : video.pause());
  }

  function nextOf(list, forward) {
    const begins = list.map((one) => "place" in one ? one.place : one.first);
    const found = forward ? begins.find((one) => one > place) : begins.filter((one) => one < place).pop();
    if (found !== undefined) seekPlace(found);
    else if (begins.length) seekPlace(forward ? begins[list === data.moments ? 0 : begins.length - 1] : begins[0]);
  }

  const keys = {
    " ": play, k: play,
    ArrowLeft: () => seekPlace(place - 1), ArrowRight: () => seekPlace(place + 1),
    j: () => seek(times[place] - 1), l: () => seek(times[place] + 1),
    "[": () => nextOf(data.scenes, false), "]": () => nextOf(data.scenes, true),
    m: () => nextOf(data.moments, true),
  };

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const tag = event.target.tagName;
    // Space presses a button that has the focus.
    if (!action || tag === "INPUT" || (event.key === " " && (tag === "BUTTON" || tag === "SUMMARY"))) return;
    event.preventDefault();
    if (event.key.startsWith("Arrow") && video) video.pause();
    action();
  }

  // The frame that is shown

  function fillNow() {
    const values = kinds.map((kind) => {
      const cell = make("dd");
      at("values").append(make("dt", {}, kind.name), cell);
      return (now) => { cell.textContent = kind.text(data.curves[kind.key][now]); };
    });
    const bars = data.classes.map((one, n) => {
      const share = make("span"), bar = make("b", {class: `c${n}`});
      at("seen").append(make("div", {class: "class"}, make("span", {title: one.name}, one.name), share, make("i", {}, bar)));
      return (now) => {
        const value = one.probability[now];
        share.textContent = percent(value);
        bar.style.width = `${100 * (value || 0)}%`;
      };
    });
    followers.push((now) => {
      at("clock").textContent = clock(times[now]);
      at("frame").textContent = `frame ${data.frame[now]}`;
    }, ...values, ...bars);
  }

  // The strip of scenes

  function playhead(host) {
    const line = make("div", {class: "playhead", "aria-hidden": "true"});
    host.append(line);
    followers.push((now) => {
      line.style.left = `${100 * (times[now] - data.begin_s) / (data.end_s - data.begin_s)}%`;
    });
  }

  function fillStrip() {
    let scene = 0;
    for (const cell of data.strip) {
      const label = `Scene ${cell.scene}, ${clock(cell.begin_s, 1)}`;
      const button = make("button", {
        type: "button", title: label, "aria-label": label, class: cell.scene === scene ? "" : "first",
        on: () => seek(cell.begin_s),
      }, cell.picture ? make("img", {src: cell.picture, alt: ""}) : null);
      // In thousandths of the whole: a sum below 1 would leave room.
      button.style.flexGrow = 1000 * (cell.end_s - cell.begin_s) / (data.end_s - data.begin_s);
      at("strip").append(button);
      scene = cell.scene;
    }
    playhead(at("strip"));
  }

  // Curves

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const charts = [];

  /** Lines where scenes begin, behind the curves, and dots at the moments. */
  function marks(plot, hasMoments) {
    const {ctx, bbox} = plot;
    ctx.save();
    ctx.fillStyle = color("--line");
    for (const scene of data.scenes.slice(1)) {
      const x = Math.round(plot.valToPos(scene.begin_s, "x", true));
      ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
    }
    if (hasMoments) {
      for (const moment of data.moments) {
        ctx.beginPath();
        ctx.arc(plot.valToPos(moment.time_s, "x", true), plot.valToPos(moment.speed_p99, "y", true), 3.5 * devicePixelRatio, 0, 7);
        ctx.fillStyle = color("--hot");
        ctx.fill();
      }
    }
    ctx.restore();
  }

  // Steps of the time axis, in seconds.
  const timeSteps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000];

  /** Labels of the time axis; one that the right edge would cut is left out. */
  function timeLabels(plot, ticks, axis, space, step) {
    const room_s = (data.end_s - data.begin_s) * 18 / plot.width;
    return ticks.map((one) => data.end_s - one < room_s ? null : clock(one, step < 1 ? 1 : 0));
  }

  function chart({name, unit, text, top, floor, lines, height, isLast, hasMoments}) {
    const value = make("span", {class: "value"});
    const legend = lines.length > 1 ? make("span", {class: "legend"}, ...lines.map((line, n) =>
      make("span", {}, make("i", {class: `c${n}`}), line.name))) : null;
    const host = make("div", {class: "chart", role: "group", "aria-label": `${name} over time`}, make("header", {}, make("h3", {}, name), make("span", {class: "unit"}, unit), legend || value));
    at("charts").append(host);
    const gutter = parseFloat(getComputedStyle(at("time")).getPropertyValue("--gutter"));
    const known = lines.flatMap((line) => line.values).filter((one) => one !== null);
    const most = top || Math.max(floor, 1.08 * known.reduce((a, b) => Math.max(a, b), 0));
    const axis = {stroke: () => color("--dim"), font: "12px system-ui, sans-serif", ticks: {show: false}};
    const plot = new uPlot({
      width: Math.max(120, host.clientWidth), height: height + (isLast ? 22 : 0), padding: [6, 0, 4, 0],
      legend: {show: false},
      cursor: {y: false, drag: {x: false, y: false}, sync: {key: "vidsal"}, points: {size: 7}},
      scales: {x: {time: false, range: [data.begin_s, data.end_s]}, y: {range: [0, most]}},
      axes: [
        {...axis, show: isLast, size: 22, gap: 6, grid: {show: false}, space: 56, incrs: timeSteps, values: timeLabels},
        {...axis, size: gutter, gap: 6, grid: {stroke: () => color("--line"), width: 1}, splits: top ? [0, top / 2, top] : [0, round(most / 2)],
          values: (_, ticks) => ticks.map(text === percent ? (one) => `${100 * one} %` : String)},
      ],
      series: [{}, ...lines.map((line, n) => ({
        stroke: () => color(lines.length > 1 ? `--c${n}` : "--ink"), width: 1.5, points: {show: false},
        fill: lines.length > 1 ? undefined : () => color("--wash"),
      }))],
      hooks: {drawAxes: [(plot) => marks(plot, false)], draw: [(plot) => hasMoments && marks(plot, true)], setCursor: [() => write()]},
    }, [times, ...lines.map((line) => line.values)], host);
    const write = () => {
      const now = plot.cursor.idx === null || plot.cursor.left < 0 ? place : plot.cursor.idx;
      value.textContent = text(lines[0].values[now]);
    };
    followers.push(write);
    playhead(plot.over);
    scrub(plot);
    charts.push({plot, host, height: height + (isLast ? 22 : 0)});
  }

  /** A number of one significant digit: a longer one would be cut at the edge. */
  const round = (value) => Number(value.toPrecision(1));

  /** A click or a drag shows the frame below the pointer. */
  function scrub(plot) {
    const go = (event) => {
      const box = plot.over.getBoundingClientRect();
      seek(data.begin_s + (data.end_s - data.begin_s) * (event.clientX - box.left) / box.width);
    };
    plot.over.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      plot.over.setPointerCapture(event.pointerId);
      go(event);
    });
    plot.over.addEventListener("pointermove", (event) => {
      if (plot.over.hasPointerCapture(event.pointerId)) go(event);
    });
  }

  function fillCharts() {
    for (const kind of kinds) {
      const isLast = !data.classes.length && kind === kinds[kinds.length - 1];
      const lines = [{name: kind.name, values: data.curves[kind.key]}];
      chart({...kind, lines, height: 84, isLast, hasMoments: kind.key === "speed_p99"});
    }
    if (data.classes.length) {
      const lines = data.classes.map((one) => ({name: one.name, values: one.probability}));
      const highest = Math.max(...lines.map((line) => line.values.reduce((a, b) => Math.max(a, b), 0)));
      const top = [0.1, 0.25, 0.5, 1].find((one) => highest <= one) || 1;
      chart({name: "Classes", unit: "probability", text: percent, top, lines, height: 132, isLast: true});
    }
    new ResizeObserver(() => {
      for (const {plot, host, height} of charts) plot.setSize({width: Math.max(120, host.clientWidth), height});
    }).observe(at("charts"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(({plot}) => plot.redraw()));
  }

  // Moments

  function fillMoments() {
    const buttons = data.moments.map((moment) => {
      const seen = moment.class_name ? `${moment.class_name} ${percent(moment.probability)}` : `Scene ${moment.scene}`;
      const button = make("button", {type: "button", on: () => { seekPlace(moment.place); at("screen").scrollIntoView({block: "nearest"}); }},
        make("img", {src: data.stills[moment.place], alt: `Heat at ${clock(moment.time_s)}`}),
        make("span", {class: "line"}, make("strong", {}, clock(moment.time_s)), make("span", {class: "dim"}, `motion ${speedText(moment.speed_p99)}`)),
        make("small", {}, seen));
      at("moments").append(button);
      return button;
    });
    if (!buttons.length) at("moments").append(make("p", {class: "dim"}, "Nothing moves faster than 0.03 diagonals per second."));
    followers.push((now) => buttons.forEach((button, n) => {
      button.toggleAttribute("aria-current", data.moments[n].place === now);
    }));
  }

  // Tables

  const timeColumn = (name, key, placeKey) => ({name, key, text: (value) => clock(value), place: placeKey});
  const numberColumns = kinds.map((kind) => ({name: kind.name, key: kind.key, text: kind.text}));
  const classColumns = data.classes.length ? [
    {name: "Class", key: "class_name", isText: true, text: (value) => value || "–"},
    {name: "Probability", key: "probability", text: percent},
  ] : [];
  const plainNumber = (name, key) => ({name, key, text: String});

  function table(host, title, rows, columns, isOpen) {
    const body = make("tbody");
    const lines = rows.map((row) => make("tr", {}, ...columns.map((column) => {
      const text = column.text(row[column.key]);
      const cell = column.place ? make("button", {type: "button", on: () => seekPlace(row[column.place])}, text) : text;
      return make("td", {class: column.isText ? "text" : null}, cell);
    })));
    body.append(...lines);
    const heads = columns.map((column) => make("th", {scope: "col", class: column.isText ? "text" : null},
      make("button", {type: "button", on: () => sort(column)}, column.name)));

    function sort(column) {
      const head = heads[columns.indexOf(column)];
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const order = rows.map((_, n) => n).sort((a, b) => {
        const [one, other] = [rows[a][column.key], rows[b][column.key]];
        if (one === null || other === null) return (one === null) - (other === null);
        return sign * (column.isText ? one.localeCompare(other) : one - other);
      });
      body.append(...order.map((n) => lines[n]));
    }

    const content = make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": title},
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body));
    host.append(make("details", isOpen ? {open: ""} : {}, make("summary", {}, title, " ", make("span", {class: "dim"}, String(rows.length))), content));
  }

  function fillTables() {
    table(at("table-scenes"), "Scenes", data.scenes, [
      plainNumber("Scene", "number"), timeColumn("Begin", "begin_s", "first"), {name: "End", key: "end_s", text: (value) => clock(value)},
      ...numberColumns, ...classColumns,
    ], true);
    if (data.moments.length) {
      table(at("table-moments"), "Moments", data.moments, [
        plainNumber("Moment", "number"), timeColumn("Time", "time_s", "place"), plainNumber("Frame", "frame"), plainNumber("Scene", "scene"),
        ...numberColumns, ...classColumns,
      ], false);
    }
    if (data.has_frames) {
      const rows = times.map((time_s, n) => ({
        place: n, frame: data.frame[n], time_s, ...Object.fromEntries(kinds.map((kind) => [kind.key, data.curves[kind.key][n]])),
      }));
      table(at("table-frames"), "Frames", rows, [plainNumber("Frame", "frame"), timeColumn("Time", "time_s", "place"), ...numberColumns], false);
    }
  }

  function fillTexts() {
    at("scale").hidden = !data.colors.length;
    at("ramp").style.background = `linear-gradient(to right, ${data.colors.join(", ")})`;
    at("facts").textContent = data.facts.map(([, text]) => text).join(" · ");
    for (const note of data.notes) at("notes").append(make("p", {class: "note"}, note));
    for (const [name, text] of data.provenance) at("provenance").append(make("dt", {}, name), make("dd", {}, text));
    for (const [name, text] of data.settings) at("settings").append(make("dt", {}, name), make("dd", {}, text));
    at("settings").append(make("dt", {class: "dim"}, data.settings.length ? "other options" : "options"), make("dd", {}, "defaults"));
  }

  fillTexts();
  fillScreen();
  fillNow();
  if (data.is_photo) {
    for (const id of ["time-now", "keys", "time", "strongest", "tables"]) at(id).hidden = true;
  } else {
    fillStrip();
    fillCharts();
    fillMoments();
    fillTables();
    document.addEventListener("keydown", press);
  }
  show(0);
})();
