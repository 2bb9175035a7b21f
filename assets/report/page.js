"use strict";
// The read-out: a line that follows the pointer, a finger or the arrow keys, and what the nearest sample says.
(function () {
  const units = ["B", "K", "M", "G", "T", "P"];

  function size(bytes) {
    let unit = 0, value = bytes;
    while (unit + 1 < units.length && Math.floor(value) >= 1024) { value /= 1024; unit += 1; }
    if (value === Math.floor(value)) return value + units[unit];
    if (value < 9.995) return value.toFixed(2) + units[unit];
    if (value < 99.95) return value.toFixed(1) + units[unit];
    if (value < 1023.5 || unit + 1 === units.length) return value.toFixed(0) + units[unit];
    return (value / 1024).toFixed(2) + units[unit + 1];
  }

  function words(samples, n) {
    const limit = samples.limit[n];
    const cache = Math.min(samples.cache[n], samples.usage[n]);
    return [
      ["at ", samples.at[n].toFixed(3) + " s"],
      ["usage ", size(samples.usage[n])],
      ["held ", size(samples.usage[n] - cache)],
      ["file cache ", size(cache)],
      ["peak since the sample before ", size(samples.peak[n])],
      ["", limit === null ? "no limit" : "limit " + size(limit)],
    ];
  }

  function nearest(at, time) {
    let low = 0, high = at.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at[middle] < time) low = middle + 1; else high = middle;
    }
    return low > 0 && time - at[low - 1] < at[low] - time ? low - 1 : low;
  }

  function element(svg, name, values) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key of Object.keys(values)) made.setAttribute(key, values[key]);
    return svg.appendChild(made);
  }

  function follow(figure) {
    const samples = JSON.parse(figure.querySelector("script").textContent);
    if (samples.at.length === 0) return;
    const last = samples.at.length - 1;
    const readout = document.createElement("p");
    const hint = "Point at the chart, or go through it with the arrow keys.";
    readout.className = "readout";
    readout.setAttribute("aria-live", "polite");
    readout.textContent = hint;
    figure.appendChild(readout);
    let now = last;

    const charts = Array.from(figure.querySelectorAll("svg")).map(function (svg) {
      const group = element(svg, "g", { class: "cursor", visibility: "hidden" });
      const top = svg.dataset.top, bottom = svg.dataset.bottom;
      return { svg: svg, group: group, line: element(group, "line", { y1: top, y2: bottom }), left: Number(svg.dataset.left), right: Number(svg.dataset.right) };
    });

    function show(n) {
      now = Math.max(0, Math.min(last, n));
      const told = words(samples, now);
      readout.replaceChildren();
      told.forEach(function (pair, k) {
        const value = document.createElement("b");
        value.textContent = pair[1];
        readout.append((k > 0 ? " · " : "") + pair[0], value);
      });
      for (const chart of charts) {
        const x = chart.left + samples.at[now] / samples.span * (chart.right - chart.left);
        chart.line.setAttribute("x1", x);
        chart.line.setAttribute("x2", x);
        chart.group.setAttribute("visibility", "visible");
        const area = chart.svg.parentNode;
        area.setAttribute("aria-valuenow", now);
        area.setAttribute("aria-valuetext", told.map(function (pair) { return pair.join(""); }).join(", "));
      }
    }

    function hide() {
      readout.textContent = hint;
      for (const chart of charts) chart.group.setAttribute("visibility", "hidden");
    }

    for (const chart of charts) {
      const area = chart.svg.parentNode;
      const values = { tabindex: 0, role: "slider", "aria-label": "time in the chart", "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": last };
      for (const key of Object.keys(values)) area.setAttribute(key, values[key]);
      const point = function (event) {
        const box = chart.svg.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width * chart.svg.viewBox.baseVal.width;
        show(nearest(samples.at, (x - chart.left) / (chart.right - chart.left) * samples.span));
      };
      area.addEventListener("pointermove", point);
      area.addEventListener("pointerdown", point);
      area.addEventListener("pointerleave", function (event) { if (event.pointerType === "mouse" && document.activeElement !== area) hide(); });
      area.addEventListener("focus", function () { show(now); });
      area.addEventListener("blur", hide);
      area.addEventListener("keydown", function (event) {
        const page = Math.max(1, Math.round(last / 20));
        const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, PageDown: now - page, PageUp: now + page, Home: 0, End: last };
        if (event.key in steps && !event.ctrlKey && !event.altKey && !event.metaKey) {
          event.preventDefault();
          show(steps[event.key]);
        }
      });
    }
  }

  document.querySelectorAll("figure").forEach(follow);
})();
