/* Specifications of the charts, for Vega-Lite: each is a function of plain rows. */
const AuditCharts = (() => {
  "use strict";
  const COLOURS = Array.from({ length: 8 }, (_, k) => `var(--g${k})`);
  const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down",
    "triangle-right", "triangle-left"];
  const DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 2], [10, 3], [1, 3], [6, 2, 1, 2]];
  const AXIS = 60; // what numbers and their title take beside a plot
  const text = "var(--ink)", soft = "var(--soft)", line = "var(--line)";

  const CONFIG = {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: { labelColor: soft, titleColor: text, gridColor: line, domainColor: soft,
      tickColor: soft, labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500,
      labelLimit: 220, labelOverlap: true },
    legend: { labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 13,
      symbolSize: 90, symbolOpacity: 1, orient: "top", symbolStrokeWidth: 0 },
    header: { labelColor: text, titleColor: text, labelFontSize: 13 },
    title: { color: text, fontSize: 13, fontWeight: 500, anchor: "start" },
  };

  /* The groups that are followed or pay most have colours; the others are grey. */
  function groupScale(groups, follow) {
    const first = follow ? [follow, ...groups.filter((g) => g !== follow)] : groups;
    const rank = new Map(first.map((group, k) => [group, k]));
    const pick = (list, other) => groups.map((g) => {
      const k = rank.get(g);
      return k < COLOURS.length ? list[k] : other;
    });
    return {
      color: { domain: groups, range: pick(COLOURS, "var(--mute)") },
      shape: { domain: groups, range: pick(SHAPES, "circle") },
      dash: { domain: groups, range: pick(DASHES, [1, 0]) },
      shown: first.slice(0, COLOURS.length),
    };
  }

  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "12px system-ui, sans-serif";

  /* `names` are those of the legend, which has as many columns as there is room above the plot. */
  function base(description, rows, names, room, rest) {
    const labelLimit = Math.min(260, room - 30);
    const widest = Math.max(0, ...names.map((name) => pen.measureText(name).width));
    const columns = Math.floor(room / (Math.min(widest, labelLimit) + 30));
    const legend = { ...CONFIG.legend, labelLimit, columns: Math.max(1, Math.min(columns, 8)) };
    return { $schema: "https://vega.github.io/schema/vega-lite/v6.json", description,
      width: "container", autosize: { type: "fit-x", contains: "padding" },
      data: { values: rows }, config: { ...CONFIG, legend }, ...rest };
  }

  /* A title of an axis below a plot, in lines that fit. */
  function lines(title, room) {
    const letters = Math.max(20, Math.floor(room / 7.5)), found = [""];
    for (const word of title.split(" ")) {
      const longer = `${found.at(-1)} ${word}`.trim();
      if (longer.length > letters && found.at(-1)) found.push(word);
      else found[found.length - 1] = longer;
    }
    return found;
  }

  const quantity = (field, title, zero) => ({ field, type: "quantitative", title,
    scale: { zero: Boolean(zero), nice: true } });
  const range = { field: "range", title: "interval" };

  /* A measure of every group along the models, with bands; `along` is what orders them. */
  function path({ rows, models, groups, follow, bands, measure, ordered, description, width,
    along = "sparsity", zero = false }) {
    const scale = groupScale(groups, follow);
    const x = { field: "at", type: "ordinal", sort: models, title: ordered ? along : "model",
      scale: ordered ? { type: "point", padding: 0.3 } : { type: "band" }, axis: ordered ? { labelAngle: 0 }
        : { labelAngle: -50, labelOverlap: false, labelLimit: 130 } };
    const faint = follow ? { condition: { test: { field: "group", equal: follow }, value: 1 },
      value: 0.45 } : { value: 1 };
    const legend = { title: null, values: scale.shown };
    const color = { field: "group", type: "nominal", scale: scale.color, legend };
    const tooltip = [{ field: "group" }, { field: "model" }, { field: "rows" },
      { field: "shown", title: measure.name }, range];
    const offset = ordered ? {} : { xOffset: { field: "group", sort: groups } };
    const limits = { x, y: quantity("low", measure.axis), y2: { field: "high" }, color };
    const areas = bands.length ? [{ mark: { type: "area", opacity: 0.13, aria: false },
      transform: [{ filter: { field: "group", oneOf: bands } }], encoding: limits }] : [];
    const rules = [{ mark: { type: "rule", aria: false },
      encoding: { ...limits, ...offset, opacity: faint } }];
    const layers = [
      ...(ordered ? areas : rules),
      { mark: { type: "point", filled: true, size: 75, opacity: 1 },
        encoding: { x, ...offset, y: quantity("value", measure.axis), color,
          shape: { field: "group", type: "nominal", scale: scale.shape, legend },
          opacity: faint, tooltip,
          description: { field: "spoken" } } },
    ];
    if (ordered) {
      layers.splice(-1, 0, { mark: { type: "line", strokeWidth: 2, aria: false },
        encoding: { x, y: quantity("value", measure.axis), color,
          strokeDash: { field: "group", type: "nominal", scale: scale.dash, legend },
          opacity: faint } });
    }
    if (zero) { // the dense model
      layers.unshift({ data: { values: [{}] }, mark: { type: "rule", color: text, aria: false },
        encoding: { y: { datum: 0, type: "quantitative" } } });
    }
    return base(description, rows, scale.shown, width - AXIS, { height: 340, layer: layers });
  }

  /* One point a model: quality against disparity. */
  function tradeoff({ rows, quality, disparity, description, width }) {
    const tooltip = [{ field: "model" }, { field: "quality", title: quality.axis },
      { field: "qualityRange", title: "interval" },
      { field: "disparity", title: disparity.name }, { field: "range", title: "interval" },
      { field: "remark", title: "remark" }];
    const x = quantity("x", quality.axis), y = quantity("y", disparity.axis, true);
    const kinds = ["dense", "pruned", "broken"];
    const kind = { field: "kind", type: "nominal", title: null,
      scale: { domain: kinds, range: ["var(--g0)", "var(--g1)", "var(--mute)"] } };
    const shape = { ...kind, scale: { ...kind.scale, range: ["square", "circle", "cross"] } };
    return base(description, rows, kinds, width - AXIS, { height: 340, layer: [
      { mark: { type: "rule", opacity: 0.45, aria: false },
        encoding: { x, y: quantity("yLow", disparity.axis, true), y2: { field: "yHigh" },
          color: kind } },
      { mark: { type: "rule", opacity: 0.45, aria: false },
        encoding: { x: quantity("xLow", quality.axis), x2: { field: "xHigh" }, y,
          color: kind } },
      { mark: { type: "point", filled: true, size: 110, opacity: 1 },
        encoding: { x, y, color: kind, shape, tooltip, description: { field: "spoken" } } },
      { mark: { type: "text", align: { expr: "datum.side < 0 ? 'right' : 'left'" },
        dx: { expr: "9 * datum.side" }, dy: { expr: "datum.lift" }, color: text, aria: false, limit: 160 },
        encoding: { x, y, text: { field: "model" } } },
    ] });
  }

  /* Dense against one pruned model, group by group. */
  function bars({ rows, groups, names, measure, description, width }) {
    const labelLimit = Math.min(180, 0.4 * width), room = width - labelLimit - 10;
    const title = lines(measure.axis, room);
    const y = { field: "group", type: "nominal", sort: groups, title: null, axis: { labelLimit } };
    const yOffset = { field: "model", sort: names };
    const color = { field: "model", type: "nominal", title: null,
      scale: { domain: names, range: ["var(--g0)", "var(--g1)"] } };
    return base(description, rows, names, room, { height: 34 * groups.length + 10, layer: [
      { mark: { type: "bar", opacity: 0.75 },
        encoding: { y, yOffset, color, x: quantity("value", title, true),
          description: { field: "spoken" },
          tooltip: [{ field: "group" }, { field: "model" }, { field: "rows" },
            { field: "shown", title: measure.name }, range] } },
      { mark: { type: "rule", color: text, aria: false },
        encoding: { y, yOffset, x: quantity("low", title, true), x2: { field: "high" } } },
    ] });
  }

  /* What pruning cost each group of one model: small groups apart, below a gap. */
  function forest({ rows, order, kinds, measure, negligible, description, width }) {
    const letters = width < 500 ? 22 : 40, labelLimit = Math.min(8 * letters, 0.45 * width);
    const room = width - labelLimit - 10, title = lines(measure.axis, room);
    const y = { field: "label", type: "nominal", title: null, scale: { domain: order },
      axis: { labelLimit, labelOverlap: false, ticks: false, domain: false,
        labelExpr: `truncate(datum.label, ${letters}, 'center')` } };
    const legend = kinds.some((k) => k.look !== "other") ? {} : null; // or all look alike
    const kind = { field: "kind", type: "nominal", title: null, legend };
    const pick = (list) => ({ domain: kinds.map((k) => k.name), range: kinds.map((k) => list[k.look]) });
    const color = { ...kind, scale: pick({ pays: "var(--g1)", other: text, small: "var(--mute)" }) };
    const shape = { ...kind, scale: pick({ pays: "diamond", other: "circle", small: "circle" }) };
    const x = (field) => quantity(field, title, true);
    const still = (mark, encoding) => ({ data: { values: [{}] }, mark: { aria: false, ...mark },
      encoding });
    return base(description, rows, kinds.map((k) => k.name), room, { height: 28 * order.length + 10, layer: [
      ...(negligible ? [still({ type: "rect", color: line },
        { x: { datum: -negligible, type: "quantitative" }, x2: { datum: negligible } })] : []),
      still({ type: "rule", color: text }, { x: { datum: 0, type: "quantitative" } }),
      { mark: { type: "rule", strokeWidth: 2, aria: false },
        encoding: { y, x: x("low"), x2: { field: "high" }, color } },
      { mark: { type: "point", filled: true, size: 90, opacity: 1 },
        encoding: { y, x: x("value"), color, shape, description: { field: "spoken" },
          tooltip: [{ field: "group" }, { field: "model" }, { field: "rows" },
            { field: "shown", title: measure.name }, range, { field: "kind", title: "remark" }] } },
    ] });
  }

  /* Multipliers and violations by epoch. */
  function training({ rows, groups, follow, description, width }) {
    const scale = groupScale(groups, follow);
    const legend = { title: null, values: scale.shown };
    const limit = (name) => Math.max(...rows.filter((row) => row.what === name)
      .map((row) => row.tolerance ?? -Infinity));
    const rule = (name) => Number.isFinite(limit(name))
      ? [{ mark: { type: "rule", strokeDash: [4, 4], color: soft, aria: false },
        encoding: { y: { datum: limit(name) } } }] : [];
    const panel = (name, title) => ({
      title, height: 190,
      transform: [{ filter: { field: "what", equal: name } }],
      layer: [
        { mark: { type: "line", point: { filled: true, size: 40 } },
          encoding: { x: { field: "at", type: "quantitative", title: "epoch",
            axis: { tickMinStep: 1, format: "d" }, scale: { zero: false, nice: false } },
          y: quantity("value", title, true),
          color: { field: "group", type: "nominal", scale: scale.color, legend },
          strokeDash: { field: "group", type: "nominal", scale: scale.dash, legend },
          description: { field: "spoken" },
          tooltip: [{ field: "group" }, { field: "at", title: "epoch" }, { field: "stage" },
            { field: "shown", title }] } },
        ...rule(name),
      ],
    });
    const panels = [["multiplier", "multiplier"], ["violation", "violation"],
      ["holdout_violation", "violation on held-out rows"]]
      .filter(([name]) => rows.some((row) => row.what === name));
    return panels.map(([name, title]) => base(`${description} ${title}.`, rows,
      scale.shown, width - AXIS, panel(name, title)));
  }

  /* Share of the weights removed in each layer. */
  function layers({ rows, names, description, width }) {
    return base(description, rows, [], width, { height: 26 * names.length, encoding: {
      y: { field: "layer", type: "nominal", sort: names, title: null } }, layer: [
      { mark: { type: "bar", color: "var(--g0)", opacity: 0.4 },
        encoding: { x: { field: "value", type: "quantitative", title: "weights removed, %",
          scale: { domain: [0, 100] } },
        description: { field: "spoken" },
        tooltip: [{ field: "layer" }, { field: "shape" }, { field: "shown", title: "kept" }] } },
      { mark: { type: "text", align: "left", dx: 5, color: text, aria: false },
        encoding: { x: { datum: 0 }, text: { field: "shown" } } },
    ] });
  }

  return { forest, path, tradeoff, bars, training, layers };
})();
