/* Wires the choices of the page to its tables and charts. */
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const NO_NAME = "(empty)";
  /* Vega cannot tell a name such as "constructor" from what every object has, and its
     expressions cannot hold separators of lines. Names that look alike are told apart before. */
  const nameable = (_, value) => typeof value !== "string" ? value
    : value in Object.prototype ? `${value}\u200b`
      : value.replace(/[\u2028\u2029]/g, " ") || NO_NAME;
  const audit = JSON.parse($("audit").textContent, nameable);
  const level = `${+(100 * audit.confidence).toFixed(4)} %`;

  function fill(select, options) {
    for (const [value, label] of options) select.add(new Option(label, value));
  }

  const MOST_BANDS = 4; // more of them hide each other
  const unknown = (value) => value === null || value === undefined;
  const shown = (value, scale) => unknown(value) ? "unknown"
    : (value * scale).toFixed(scale === 100 ? 1 : 3);
  const times = (value, scale) => unknown(value) ? null : value * scale;
  function interval([value, low, high], scale) {
    const range = unknown(low) ? "unknown" : `${shown(low, scale)} to ${shown(high, scale)}`;
    return { value: times(value, scale), low: times(low, scale), high: times(high, scale),
      shown: shown(value, scale), range };
  }

  /* ---- what is chosen ------------------------------------------------------- */

  function choice() {
    const models = all("input[name=model]").filter((box) => box.checked)
      .map((box) => Number(box.value));
    return {
      feature: audit.features[Number($("feature").value)],
      featureNumber: Number($("feature").value),
      measure: audit.measures.find((m) => m.id === $("measure").value),
      disparity: audit.disparities.find((m) => m.id === $("disparity").value),
      detail: Number($("detail").value || 0),
      follow: $("follow").value,
      models,
    };
  }

  function groupRows(chosen, models) {
    const { scale } = chosen.measure;
    return chosen.feature.byGroup.filter((row) => models.includes(row.model)).map((row) => {
      const model = audit.models[row.model];
      const numbers = interval(row[chosen.measure.id], scale);
      return { group: row.group, rows: row.rows, worth: row.worth, model: model.name, position: row.model,
        ...numbers,
        spoken: `${row.group}, ${model.name}: ${chosen.measure.name} ${numbers.shown}, ` +
          `${level} interval ${numbers.range}, ${row.rows} rows` };
    });
  }

  /* ---- charts --------------------------------------------------------------- */

  const views = {};
  function draw(id, spec) {
    const target = $(id), old = views[id];
    const options = { renderer: "svg", ast: true, actions: false };
    views[id] = vegaEmbed(target, spec, options).then((result) => {
      if (old) old.then((previous) => previous.finalize());
      target.append(saveButtons(result.view, id));
      return result;
    });
    return views[id];
  }

  /* A saved chart stands alone: its colours are those of white paper, not the page's. */
  async function standalone(view) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).replace(/light-dark\(([^,]+),.*/, "$1");
    const svg = (await view.toSVG()).replace(/var\((--\w+)\)/g, (_, name) => colour(name).trim());
    return svg.replace(/(<svg[^>]*>)/, '$1<rect width="100%" height="100%" fill="#ffffff"/>');
  }

  async function drawing(svg, scale = 2) {
    const picture = new Image();
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = scale * picture.width;
    canvas.height = scale * picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => { canvas.toBlob(done, "image/png"); });
  }

  function saveButtons(view, id) {
    const bar = document.createElement("p");
    bar.className = "save";
    for (const kind of ["svg", "png"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Save as ${kind.toUpperCase()}`;
      button.addEventListener("click", async () => {
        const svg = await standalone(view);
        const blob = kind === "png" ? await drawing(svg)
          : new Blob([svg], { type: "image/svg+xml" });
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = `${id}.${kind}`;
        link.click();
        URL.revokeObjectURL(link.href);
      });
      bar.append(button);
    }
    return bar;
  }

  const wide = (id) => $(id).clientWidth || 600;

  function say(id, text) {
    $(id).textContent = text;
  }

  function drawForest(chosen) {
    const { groups, payers } = chosen.feature, told = payers[chosen.detail];
    const measure = audit.measures.find((m) => m.id === told.measure);
    const look = (row) => row.worth < audit.leastRows ? "small"
      : told.pays && row.group === told.group ? "pays" : "other";
    const names = { pays: "pays most", other: "compared groups",
      small: `fewer than ${audit.leastRows} ${audit.rowsWord}` };
    const rows = groupRows({ ...chosen, measure }, [chosen.detail]).map((row) => ({ ...row,
      label: `${row.group} (${row.rows.toLocaleString("en")})`, look: look(row),
      kind: names[look(row)], spoken: `${row.spoken}, ${names[look(row)]}` }));
    rows.sort((a, b) => (a.look === "small") - (b.look === "small") || b.value - a.value ||
      groups.indexOf(a.group) - groups.indexOf(b.group));
    const order = rows.map((row) => row.label), few = rows.findIndex((r) => r.look === "small");
    if (few > 0) order.splice(few, 0, " "); // a gap
    const kinds = Object.keys(names).filter((k) => rows.some((row) => row.look === k))
      .map((k) => ({ look: k, name: names[k] }));
    const negligible = times(told.negligible, measure.scale);
    const { name } = audit.models[chosen.detail];
    const description = `${measure.name} of each group by ${chosen.feature.name}, ${name} ` +
      "against the dense model.";
    draw("chart-forest", AuditCharts.forest({ rows, order, kinds, measure, negligible, description,
      width: wide("chart-forest") }));
    const verdict = !told.verdict ? "" : told.pays ? ` ${told.group} pays most.`
      : ` Who pays most: ${told.verdict}.`;
    const unit = measure.scale === 100 ? " points" : "";
    const band = negligible ? ` Shaded: negligible, up to ${+negligible.toPrecision(3)}${unit}.` : "";
    const small = few < 0 ? "" : ` Groups of ${names.small} are not compared.`;
    say("caption-forest", `${description}${verdict} To the right the group pays; lines are ` +
      `${level} intervals.${band}${small}`);
  }

  function drawPath(chosen) {
    const sparsities = chosen.models.map((k) => audit.models[k].sparsity);
    const ordered = sparsities.length > 1 && !sparsities.some(unknown) &&
      sparsities.every((s, k) => k === 0 || s > sparsities[k - 1]);
    const short = (digits) => sparsities.map((s) => String(+s.toPrecision(digits)));
    const digits = ordered && [3, 4, 5].find((n) => new Set(short(n)).size === sparsities.length);
    const at = (k) => ordered ? String(+audit.models[k].sparsity.toPrecision(digits || 6))
      : audit.models[k].name;
    const rows = groupRows(chosen, chosen.models).map((row) => ({ ...row, at: at(row.position) }));
    const { groups } = chosen.feature;
    const description = `${chosen.measure.name} of each group by ${chosen.feature.name}, ` +
      `${chosen.models.length} models.`;
    const bands = chosen.follow ? [chosen.follow] : groups.length > MOST_BANDS ? [] : groups;
    draw("chart-path", AuditCharts.path({ rows, models: chosen.models.map(at), groups, bands,
      follow: chosen.follow, measure: chosen.measure, ordered, description,
      width: wide("chart-path") }));
    const marks = !ordered ? `Thin lines are ${level} intervals.`
      : bands.length ? `${bands.length > 1 ? "Bands are" : `The band of ${bands[0]} is its`} ` +
        `${level} interval${bands.length > 1 ? "s" : ""}.`
        : "So many groups have no bands here: choose a group to follow.";
    const some = audit.models.some((m, k) => m.shorter && !chosen.models.includes(k))
      ? " Networks that were fine-tuned for a shorter time can be added under Models shown." : "";
    const many = groups.length > 8 ? " The 8 groups that pay most have colours; " +
      "choose a group to follow another." : "";
    say("caption-path", `${description} ${marks}${many}${some} All numbers are in the table below.`);
  }

  /* The sparsity of the model in detail along the epochs of its fine-tuning. */
  function drawBudgets(chosen) {
    const run = audit.budgets.find((one) => one.models.includes(chosen.detail))
      ?? audit.budgets.at(-1);
    const { measure: first } = audit.features[0].payers[0]; // that of decisions, if there is one
    const measure = audit.measures.find((m) => m.id === first);
    const at = (row) => String(run.epochs[run.models.indexOf(row.position)]);
    const rows = groupRows({ ...chosen, measure }, run.models).map((row) => ({ ...row, at: at(row) }));
    const { groups } = chosen.feature;
    const bands = chosen.follow ? [chosen.follow] : groups.length > MOST_BANDS ? [] : groups;
    const description = `${measure.name} of each group by ${chosen.feature.name}, ${run.title}, ` +
      `after ${run.epochs.join(", ")} epochs of fine-tuning.`;
    draw("chart-budgets", AuditCharts.path({ rows, models: run.epochs.map(String), groups, bands,
      follow: chosen.follow, measure, ordered: true, description, along: "epochs of fine-tuning",
      zero: true, width: wide("chart-budgets") }));
    say("budgets-title", run.title);
    const broken = run.models.filter((k) => audit.models[k].broken).map((k) => audit.models[k].name);
    say("caption-budgets", `${description} The line at 0 is the dense model: damage that comes ` +
      "down to it was the short fine-tuning. " + (bands.length ? `Bands are ${level} intervals.` : "") +
      (broken.length ? ` Broken: ${broken.join("; ")}.` : ""));
  }

  /* Sides and heights of the names beside the points, so that none is cut or lies on another. */
  function liftLabels(rows) {
    const width = wide("chart-tradeoff"), height = 340, axis = 45;
    const span = (keys, ...more) => {
      const drawn = rows.flatMap((row) => keys.map((key) => row[key]));
      const values = [...more, ...drawn.filter((v) => v !== null)];
      const low = Math.min(...values), high = Math.max(...values);
      return (v) => (high > low ? (v - low) / (high - low) : 0.5);
    };
    const px = span(["x", "xLow", "xHigh"]), py = span(["y", "yLow", "yHigh"], 0);
    const placed = [];
    for (const row of rows) {
      const at = axis + (width - axis) * px(row.x), top = height * (1 - py(row.y));
      const length = 7 * Math.min(row.model.length, 23) + 12;
      row.side = at + length > width - 15 && at - length > axis ? -1 : 1;
      const [left, right] = row.side < 0 ? [at - length, at] : [at, at + length];
      const free = (lift) => top + lift < height - 6 && placed.every((other) =>
        Math.abs(other.top - top - lift) > 13 || other.right < left || right < other.left);
      row.lift = [-9, 11, -23, 25, -37, 39, -51, 53].find(free) ?? -9;
      placed.push({ left, right, top: top + row.lift });
    }
  }

  function drawTradeoff(chosen) {
    const { quality } = audit;
    const rows = chosen.models.map((k) => {
      const model = audit.models[k], numbers = chosen.feature.overall[k];
      const x = interval(numbers[quality.id], quality.scale);
      const y = interval(numbers[chosen.disparity.id], chosen.disparity.scale);
      const kind = model.broken ? "broken" : k === 0 ? "dense" : "pruned";
      return { model: model.name, x: x.value, xLow: x.low, xHigh: x.high, y: y.value,
        yLow: y.low, yHigh: y.high, quality: x.shown, disparity: y.shown, kind,
        qualityRange: x.range, range: y.range, remark: kind,
        spoken: `${model.name} (${kind}): ${quality.axis} ${x.shown}, ` +
          `${chosen.disparity.name} ${y.shown}, interval ${y.range}` };
    });
    liftLabels(rows);
    const description = `${chosen.disparity.name} against ${quality.axis}, one point a model.`;
    draw("chart-tradeoff", AuditCharts.tradeoff({ rows, quality, disparity: chosen.disparity,
      description, width: wide("chart-tradeoff") }));
    const better = quality.better > 0 ? "right" : "left";
    say("caption-tradeoff", `${description} Better is down and to the ${better}; lines are ` +
      `${level} intervals. ${audit.caution}`);
  }

  function drawBars(chosen) {
    const names = [audit.models[0].name, audit.models[chosen.detail].name];
    const rows = groupRows(chosen, [0, chosen.detail]);
    const description = `${chosen.measure.name} of each group, ${names.join(" against ")}.`;
    draw("chart-bars", AuditCharts.bars({ rows, groups: chosen.feature.groups, names,
      measure: chosen.measure, description, width: wide("chart-bars") }));
    say("caption-bars", `${description} Groups that pay most come first; thin lines are ` +
      `${level} intervals.`);
  }

  function drawTraining(chosen) {
    const name = $("constrained").value;
    const mine = audit.training.filter((row) => row.model === name);
    const stages = [...new Set(mine.map((row) => row.stage))];
    const length = Math.max(...mine.filter((row) => row.stage === stages[0])
      .map((row) => row.epoch));
    const rows = [];
    for (const row of mine) {
      const at = row.epoch + (stages.indexOf(row.stage) > 0 ? length : 0);
      for (const what of ["multiplier", "violation", "holdout_violation"]) {
        if (what in row) {
          rows.push({ what, at, group: row.group, stage: row.stage, value: row[what],
            tolerance: what === "multiplier" ? null : row.tolerance, shown: shown(row[what], 1),
            spoken: `${row.group}, epoch ${at}: ${what} ${shown(row[what], 1)}` });
        }
      }
    }
    const groups = [...new Set(mine.map((row) => row.group))];
    const description = `${name}, by epoch and group:`;
    const follow = groups.includes(chosen.follow) ? chosen.follow : "";
    const specs = AuditCharts.training({ rows, groups, follow, description,
      width: wide("chart-training") });
    const target = $("chart-training");
    target.replaceChildren(...specs.map((_, k) => {
      const div = document.createElement("div");
      div.id = `chart-training-${k}`;
      div.className = "chart";
      return div;
    }));
    specs.forEach((spec, k) => draw(`chart-training-${k}`, spec));
    const two = stages.length > 1 ? ` Epochs after ${length} are those after pruning.` : "";
    say("caption-training", `Multipliers and violations of ${name}. The dashed line is the ` +
      `tolerance.${two}`);
  }

  function drawLayers(chosen) {
    const mine = audit.layers.filter((row) => row.model === chosen.detail);
    const count = (value) => value.toLocaleString("en");
    const rows = mine.map((row) => {
      const kept = `${count(row.kept)} of ${count(row.weights)} kept`;
      return { layer: row.layer, shape: row.shape, value: 100 * row.sparsity, shown: kept,
        spoken: `${row.layer}, ${row.shape}: ${kept}` };
    });
    const { name } = audit.models[chosen.detail];
    const description = `Share of the weights removed in each layer of ${name}.`;
    if (rows.length) {
      draw("chart-layers", AuditCharts.layers({ rows, names: rows.map((r) => r.layer),
        description, width: wide("chart-layers") }));
    } else {
      $("chart-layers").replaceChildren();
    }
    say("caption-layers", rows.length ? description : `${name} holds no network.`);
  }

  /* ---- tables --------------------------------------------------------------- */

  function showTables(chosen) {
    for (const part of all("[data-feature]")) {
      part.hidden = Number(part.dataset.feature) !== chosen.featureNumber;
    }
    for (const row of all("[data-model]")) {
      row.hidden = !chosen.models.includes(Number(row.dataset.model));
    }
    for (const row of all("[data-detail]")) {
      row.hidden = Number(row.dataset.detail) !== chosen.detail;
    }
    const told = all(`[data-feature="${chosen.featureNumber}"] [data-detail]`);
    for (const empty of all(".empty-detail")) {
      const mine = told.filter((row) => empty.closest("section").contains(row));
      empty.hidden = mine.some((row) => !row.hidden);
    }
    for (const name of all(".detail-name")) name.textContent = audit.models[chosen.detail].name;
  }

  /* ---- go ------------------------------------------------------------------- */

  function fillGroups() {
    const chosen = $("follow").value;
    const { groups, payers } = audit.features[Number($("feature").value)];
    $("follow").replaceChildren();
    fill($("follow"), [["", "all"], ...groups.map((g) => [g, g])]);
    const payer = payers[Number($("detail").value || 0)].group;
    $("follow").value = groups.includes(chosen) ? chosen
      : groups.length > MOST_BANDS && groups.includes(payer) ? payer : "";
  }

  function update() {
    const chosen = choice();
    showTables(chosen);
    if ($("chart-forest")) drawForest(chosen);
    drawPath(chosen);
    if ($("chart-budgets")) drawBudgets(chosen);
    drawTradeoff(chosen);
    if ($("chart-bars")) drawBars(chosen);
    if ($("chart-training")) drawTraining(chosen);
    if ($("chart-layers")) drawLayers(chosen);
    say("status", `Showing ${chosen.measure.name} by ${chosen.feature.name}, ` +
      `${chosen.models.length} models, in detail ${audit.models[chosen.detail].name}.`);
    return Promise.all(Object.values(views));
  }

  fill($("measure"), audit.measures.map((m) => [m.id, m.name]));
  fill($("disparity"), audit.disparities.map((m) => [m.id, m.name]));
  if ($("constrained")) {
    fill($("constrained"), [...new Set(audit.training.map((r) => r.model))].map((m) => [m, m]));
  }
  if ($("detail").options.length > 1) $("detail").value = audit.detail;
  for (const box of all("input[name=model]")) { // a path along the sparsities has one of each
    box.checked = !audit.models[Number(box.value)].shorter;
  }
  fillGroups();
  for (const part of all(".chart-only, #controls, #theme")) part.hidden = false;
  for (const heading of all(".feature-name")) heading.hidden = true;
  for (const control of all("select, input[name=model]")) {
    control.addEventListener("change", () => {
      if (!all("input[name=model]").some((box) => box.checked)) control.checked = true;
      if (control.id === "feature") fillGroups();
      update();
    });
  }
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const opened = [];
  addEventListener("beforeprint", () => {
    const closed = all("main details:not([open])");
    for (const part of closed) part.open = true;
    opened.push(...closed);
  });
  addEventListener("afterprint", () => {
    for (const part of opened.splice(0)) part.open = false;
  });
  update().then(() => { document.documentElement.dataset.ready = "yes"; });
})();
