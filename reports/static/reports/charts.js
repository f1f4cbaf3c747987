"use strict";

// Charts of the reports: Chart.js as the theme brings it, with colours that survive colour-blindness, hatching that
// survives print, values beside the bars and the unit on every axis. Without this script the tables say the same.
(() => {
  // Okabe and Ito's palette, without its yellow (unreadable on white)
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];
  const ON_DARK = ["#56b4e9", "#e69f00", "#2bc79a", "#e39ac3", "#f0803c", "#9ad0f5"];
  const MOST_LABELS = 60;
  const charts = [];

  let onPaper = false;
  const isDark = () => !onPaper && document.documentElement.classList.contains("dark");
  const colour = (index) => (isDark() ? ON_DARK : COLOURS)[index % COLOURS.length];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function short(value, unit) {
    if (value === null || value === undefined) return "";
    if (unit === "%") return `${+value.toFixed(1)}%`;
    if (Math.abs(value) >= 1e8) return `${+(value / 1e8).toFixed(2)} 亿`;
    if (Math.abs(value) >= 1e4) return `${(+(value / 1e4).toFixed(Math.abs(value) >= 1e6 ? 0 : 1)).toLocaleString("zh-CN")} 万`;
    return (+value.toFixed(2)).toLocaleString("zh-CN");
  }

  function full(value, unit) {
    if (value === null) return "—";
    const digits = unit === "元" ? 2 : unit === "%" ? 1 : 0;
    const text = value.toLocaleString("zh-CN", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return unit === "%" ? `${text}%` : `${text} ${unit}`;
  }

  // every further set of bars has its own hatching
  function fill(index) {
    const base = colour(index);
    if (index === 0) return base;
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const context = tile.getContext("2d");
    context.fillStyle = base;
    context.fillRect(0, 0, 8, 8);
    context.strokeStyle = isDark() ? "rgba(0,0,0,.45)" : "rgba(255,255,255,.65)";
    context.lineWidth = 1.5;
    context.beginPath();
    if (index % 3 === 1) { context.moveTo(0, 8); context.lineTo(8, 0); }
    else if (index % 3 === 2) { context.moveTo(0, 4); context.lineTo(8, 4); }
    else { context.moveTo(4, 0); context.lineTo(4, 8); }
    context.stroke();
    return context.createPattern(tile, "repeat");
  }

  // values beside the bars, within those of a stack; where some would not fit, an upright chart shows none
  const valueLabels = {
    id: "valueLabels",
    afterDatasetsDraw(chart) {
      const { ctx } = chart;
      const across = chart.options.indexAxis === "y";
      const stacked = chart.options.scales[across ? "x" : "y"].stacked;
      const bars = [];
      chart.data.datasets.forEach((set, index) => {
        if (set.type === "line" || !chart.isDatasetVisible(index)) return;
        chart.getDatasetMeta(index).data.forEach((bar, place) => {
          const value = set.data[place];
          if (value) bars.push({ bar, isBelow: !across && value < 0, text: short(value, set.unit) });
        });
      });
      ctx.save();
      ctx.font = `11px ${style("--font-sans") || "sans-serif"}`;
      ctx.textAlign = across && !stacked ? "left" : "center";
      ctx.textBaseline = across || stacked ? "middle" : "bottom";
      const sets = stacked ? 1 : chart.data.datasets.filter((set) => set.type !== "line").length;
      const room = (chart.chartArea.right - chart.chartArea.left) / chart.data.labels.length / sets;
      const fits = ({ bar, text }) => {
        const width = ctx.measureText(text).width;
        if (!stacked) return across || width <= room + 2;
        return across ? width + 6 <= Math.abs(bar.base - bar.x) : width <= room && Math.abs(bar.base - bar.y) > 14;
      };
      if (bars.length <= MOST_LABELS && (stacked || bars.every(fits))) {
        for (const { bar, isBelow, text } of bars.filter(fits)) {
          const x = stacked && across ? (bar.x + bar.base) / 2 : across ? bar.x + 4 : bar.x;
          // less than nothing: under the bar
          const y = stacked && !across ? (bar.y + bar.base) / 2 : across ? bar.y : bar.y + (isBelow ? 14 : -3);
          if (stacked) {
            ctx.lineWidth = 3;
            ctx.strokeStyle = "#fff";
            ctx.strokeText(text, x, y);
          }
          ctx.fillStyle = stacked || !isDark() ? "#1f2937" : "#e5e7eb";
          ctx.fillText(text, x, y);
        }
      }
      ctx.restore();
    },
  };

  // the highest values do not touch the legend
  const room = {
    id: "roomBelowLegend",
    beforeInit(chart) {
      const fit = chart.legend.fit;
      chart.legend.fit = function () { fit.call(this); this.height += 10; };
    },
  };

  function draw(figure) {
    const given = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const ink = isDark() ? "#d1d5db" : "#374151";
    const grid = isDark() ? "rgba(255,255,255,.12)" : "rgba(0,0,0,.1)";
    const bars = given.sets.filter((set) => !set.line);
    const lines = given.sets.filter((set) => set.line);
    const unit = bars[0].unit;
    const units = `单位：${[...new Set(bars.map((set) => set.unit))].join("、")}`;
    const isWide = innerWidth > 640; // on a phone the legend names the units
    const canvas = figure.querySelector("canvas");
    const box = canvas.parentElement;
    if (!given.upright) box.style.height = `${Math.max(160, given.labels.length * (bars.length > 1 && !given.stacked ? 22 * bars.length : 30) + 90)}px`;
    const datasets = given.sets.map((set, index) => ({
      type: set.line ? "line" : "bar",
      label: `${set.label}（${set.unit}）`,
      unit: set.unit,
      data: set.values,
      backgroundColor: set.line ? colour(index) : fill(index),
      borderColor: colour(index),
      borderWidth: set.line ? 2 : 0,
      borderDash: set.line ? [6, 3] : [],
      pointStyle: set.line ? ["circle", "rectRot", "triangle"][index % 3] : "rect",
      showLine: given.joined,
      pointRadius: 4,
      maxBarThickness: 44,
      borderRadius: 2,
      spanGaps: true,
      yAxisID: set.line ? "second" : given.upright ? "y" : undefined,
      order: set.line ? 0 : 1,
    }));
    const numbers = (text, which) => ({
      title: { display: isWide, text, color: ink },
      ticks: { color: ink, precision: 0, callback: (value) => short(value, which) },
      grid: { color: grid },
      beginAtZero: true,
      stacked: given.stacked,
      grace: "8%",
    });
    const names = {
      title: { display: isWide && given.upright, text: given.axis, color: ink },
      ticks: {
        color: ink, autoSkip: given.upright, maxRotation: 45,
        callback(value) { const text = this.getLabelForValue(value); return text.length > 12 ? `${text.slice(0, 11)}…` : text; },
      },
      grid: { display: false },
      stacked: given.stacked,
    };
    const scales = given.upright ? { x: names, y: numbers(units, unit) } : { y: names, x: numbers(units, unit) };
    if (lines.length) scales.second = { ...numbers(lines[0].unit, lines[0].unit), position: "right", stacked: false, grid: { display: false }, grace: 0, suggestedMax: lines[0].unit === "%" ? 100 : undefined };
    const chart = new Chart(canvas, {
      data: { labels: given.labels, datasets },
      options: {
        indexAxis: given.upright ? "x" : "y",
        responsive: true,
        maintainAspectRatio: false,
        animation: false,
        layout: { padding: { right: given.upright ? 0 : 48 } },
        interaction: { mode: "index", intersect: false, axis: given.upright ? "x" : "y" },
        scales,
        plugins: {
          legend: { display: true, position: "top", align: "start", labels: { color: ink, usePointStyle: true, boxWidth: 8, boxHeight: 8 } },
          tooltip: { callbacks: { label: (item) => ` ${item.dataset.label.split("（")[0]}：${full(item.raw, item.dataset.unit)}` } },
        },
      },
      plugins: [valueLabels, room],
    });
    charts.push({ figure, chart });
  }

  function drawAll() {
    for (const { chart } of charts.splice(0)) chart.destroy();
    for (const figure of document.querySelectorAll("[data-chart]")) {
      figure.hidden = false;
      draw(figure);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const period = document.querySelector("[data-period]");
    if (period) {
      const custom = document.querySelectorAll("[data-custom]");
      const follow = () => custom.forEach((label) => {
        label.hidden = period.value !== "custom";
        label.querySelector("input").disabled = label.hidden;
      });
      period.addEventListener("change", follow);
      follow();
    }
    const form = document.querySelector(".ky-report-filters");
    const more = form?.querySelector("[data-more]");
    if (more && matchMedia("(max-width: 640px)").matches && !form.hasAttribute("data-narrowed")) {
      form.classList.add("ky-folded");
      more.hidden = false;
      more.addEventListener("click", () => {
        form.classList.remove("ky-folded");
        more.hidden = true;
      });
    }
    for (const button of document.querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => print());
    }
    if (!window.Chart || !document.querySelector("[data-chart]")) return;
    Chart.defaults.font.family = style("--font-sans") || "sans-serif";
    drawAll();
    let dark = isDark();
    new MutationObserver(() => {
      if (dark === isDark()) return;
      dark = isDark();
      drawAll();
    }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  });
  // dark colours are not for paper
  for (const [event, value] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      const before = isDark();
      onPaper = value;
      if (charts.length && before !== isDark()) drawAll();
    });
  }
})();
