"use strict";
// Shows numbers that measure.py computed when the page was written.  No estimate is computed here.  A variant is one
// rule at one temperature on one problem.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const controls = ["problem", "rule", "theta", "samples", "temperature"].map(byId);
const SURE = 5;       // a bias counts if it exceeds this many standard errors
const NEEDLE = 48;    // half the length of a line that shows a slope, in pixels
const MARGIN = { left: 58, right: 14, top: 12, bottom: 38 };

// ---- numbers as text --------------------------------------------------------------------------------------------

const signed = text => text.replace("-", "−");

function number(x, digits = 3) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e-4 && size < 1e5) return signed(String(Number(x.toPrecision(digits))));
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  return signed(`${Number(mantissa)}·10`) + superscript(Number(exponent));
}

const superscript = n => String(n).replace("-", "⁻").replace(/\d/g, d => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
const plural = (n, word) => `${number(n, 4)} ${word}${n === 1 ? "" : "s"}`;

// ---- the settings -----------------------------------------------------------------------------------------------

function variantOf(problem, name, temperature) {
  const variants = problem.rules[name];
  return variants[variants.length > 1 ? temperature : 0];
}

// Moments of the mean of n independent samples.
function momentsOf(variant, i, n, gradient) {
  const bias = variant.bias[i], variance = variant.variance[i] / n;
  const stderr = variant.exact ? 0 : Math.sqrt(variant.variance[i] / data.draws);
  const none = Math.abs(bias) <= SURE * stderr;
  return { mean: gradient + bias, bias, none, stderr, variance, sd: Math.sqrt(variance),
           error: Math.sqrt((none ? 0 : bias * bias) + variance), evaluations: n * variant.evaluations };
}

function chosen() {
  const [problem, name, i, samples, temperature] = controls.map(c => c.type === "range" ? Number(c.value) : c.value);
  const now = { problem: data.problems[problem], rule: data.rules.find(r => r.name === name), i, samples, temperature,
                theta: data.thetas[i], n: data.samples[samples] };
  now.variant = variantOf(now.problem, name, temperature);
  now.gradient = now.problem.gradient[i];
  now.moments = momentsOf(now.variant, i, now.n, now.gradient);
  return now;
}

// ---- charts -----------------------------------------------------------------------------------------------------

function add(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

// Round numbers from low to high, approximately `count` of them.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find(m => m * power >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step);
  return found;
}

const extent = (values, margin) => {
  const low = Math.min(...values), high = Math.max(...values), room = margin * (high - low || Math.abs(high) || 1);
  return [low - room, high + room];
};

// An empty chart with its axes: the scales x and y, and the svg to draw in.
function chart(id, [x0, x1], [y0, y1], xlabel, description, yticks = true) {
  const svg = byId(id), { width, height } = svg.getBoundingClientRect();
  const left = yticks ? MARGIN.left : MARGIN.right, bottom = height - MARGIN.bottom;
  const x = v => left + (v - x0) / (x1 - x0) * (width - left - MARGIN.right);
  const y = v => bottom - (v - y0) / (y1 - y0) * (bottom - MARGIN.top);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  add(svg, "title", {}, description);
  if (yticks) {
    for (const v of ticks(y0, y1, 4)) {
      add(svg, "line", { class: "grid", x1: left, x2: width - MARGIN.right, y1: y(v), y2: y(v) });
      add(svg, "text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, number(v));
    }
  }
  add(svg, "line", { class: "axis", x1: left, x2: width - MARGIN.right, y1: bottom, y2: bottom });
  for (const v of ticks(x0, x1, Math.min(8, width / 60))) {
    add(svg, "line", { class: "axis", x1: x(v), x2: x(v), y1: bottom, y2: bottom + 4 });
    add(svg, "text", { x: x(v), y: bottom + 17, "text-anchor": "middle" }, number(v));
  }
  add(svg, "text", { x: width - MARGIN.right, y: height - 5, "text-anchor": "end" }, xlabel);
  return { svg, x, y, top: MARGIN.top, bottom };
}

const path = (xs, ys, { x, y }) => xs.map((v, k) => `${k ? "L" : "M"}${x(v).toFixed(1)},${y(ys[k]).toFixed(1)}`).join("");

function drawLoss(now) {
  const { loss } = now.problem;
  const c = chart("loss", extent(data.thetas, 0.02), extent(loss, 0.12), "logit θ",
                  `Expected cost over θ; at θ = ${number(now.theta)} it is ${number(loss[now.i])}.`);
  const x = c.x(now.theta), y = c.y(loss[now.i]);
  const across = c.x(1) - c.x(0), up = c.y(0) - c.y(1);
  add(c.svg, "path", { class: "exact faint", d: path(data.thetas, loss, c) });
  for (const [kind, slope] of [["exact", now.gradient], ["mean", now.moments.mean]]) {
    const scale = NEEDLE / Math.hypot(across, up * slope), dx = scale * across, dy = scale * up * slope;
    add(c.svg, "line", { class: kind, x1: x - dx, y1: y + dy, x2: x + dx, y2: y - dy });
  }
  add(c.svg, "circle", { class: "dot", cx: x, cy: y, r: 6 });
}

function drawGradient(now) {
  const { gradient } = now.problem, { bias, variance } = now.variant;
  const mean = gradient.map((g, k) => g + bias[k]);
  const edge = (sign, n) => mean.map((m, k) => m + sign * Math.sqrt(variance[k] / n));
  const range = extent([...gradient, ...edge(-1, 1), ...edge(1, 1)], 0.06);     // the same for every number of samples
  const c = chart("gradient", extent(data.thetas, 0.02), range, "logit θ",
                  `Exact gradient and mean of ${now.rule.name} over θ, with a band of one standard deviation.`);
  add(c.svg, "line", { class: "here", x1: c.x(now.theta), x2: c.x(now.theta), y1: c.top, y2: c.bottom });
  const there = [...data.thetas], back = [...data.thetas].reverse();
  add(c.svg, "path", { class: "band", d: path([...there, ...back], [...edge(1, now.n), ...edge(-1, now.n).reverse()], c) });
  add(c.svg, "path", { class: "exact", d: path(there, gradient, c) });
  add(c.svg, "path", { class: "mean", d: path(there, mean, c) });
  if (!now.moments.none) {
    add(c.svg, "line", { class: "bias", x1: c.x(now.theta), x2: c.x(now.theta), y1: c.y(now.gradient),
                         y2: c.y(now.moments.mean) });
  }
  add(c.svg, "circle", { class: "dot rule", cx: c.x(now.theta), cy: c.y(now.moments.mean), r: 5 });
  add(c.svg, "circle", { class: "dot", cx: c.x(now.theta), cy: c.y(now.gradient), r: 5 });
}

function drawHistogram(now) {
  const { low, high } = now.variant, code = now.variant.bars[now.samples][now.i];
  const count = data.draws / now.n, wide = (high - low) / data.bins, first = data.digits.indexOf(code[0]);
  byId("histogram-note").textContent = `of ${plural(count, "estimate")}, each the mean of ${plural(now.n, "sample")}; ` +
    "the outermost bars include all estimates beyond them";
  const c = chart("histogram", [low, high], [0, 74], "estimate of the gradient",
                  `Histogram of ${count} estimates; their mean is ${number(now.moments.mean)}.`, false);
  [...code.slice(1)].forEach((digit, k) => {
    const height = data.digits.indexOf(digit), from = c.x(low + (first + k) * wide);
    if (height) {
      add(c.svg, "rect", { class: "bar", x: from, width: Math.max(1, c.x(low + (first + k + 1) * wide) - from - 1),
                           y: c.y(height), height: c.bottom - c.y(height) });
    }
  });
  if (!now.moments.none) {
    add(c.svg, "line", { class: "bias", x1: c.x(now.gradient), x2: c.x(now.moments.mean), y1: c.y(70), y2: c.y(70) });
  }
  for (const [kind, at] of [["exact", now.gradient], ["mean", now.moments.mean]]) {
    add(c.svg, "line", { class: kind, x1: c.x(at), x2: c.x(at), y1: c.top, y2: c.bottom });
  }
}

// ---- text -------------------------------------------------------------------------------------------------------

function say(now) {
  const { rule, moments, variant, gradient } = now, exactly = variant.exact;
  byId("problem-note").textContent = now.problem.about;
  byId("rule-note").textContent = `${variant.rule}: ${rule.formula}`;
  const p = 1 / (1 + Math.exp(-now.theta)), tau = data.temperatures[now.temperature];
  const values = { theta: `${number(now.theta)}, so p = ${number(p)}`, samples: String(now.n),
                   temperature: byId("temperature").disabled ? "this rule has none" : number(tau) };
  for (const id in values) {
    byId(`${id}-value`).textContent = values[id];
    byId(id).setAttribute("aria-valuetext", values[id]);
  }
  const right = moments.none ? (exactly ? "exactly right on average" : "right on average within sampling error")
    : (moments.mean * gradient < 0 ? "wrong on average and has the wrong sign" : "wrong on average") +
      (rule.unbiased ? ", although it claims to be unbiased" : "");
  const ratio = moments.sd / Math.abs(gradient);
  const scatter = moments.sd < 1e-9 * Math.abs(gradient) ? "It has no variance"
    : `The standard deviation is ${number(moments.sd, 2)}, ${number(ratio, 2)} times the gradient`;
  byId("summary").textContent = `At θ = ${number(now.theta)}, where the gradient is ${number(gradient)}, the mean of ` +
    `${rule.name} is ${number(moments.mean)}. The rule is ${right}. ${scatter}.`;

  const how = exactly ? "exact, by enumeration" : `± ${number(moments.stderr, 2)}, from ${plural(data.draws, "sample")}`;
  byId("figures").replaceChildren(...[
    ["", "Expected cost", number(now.problem.loss[now.i], 4), "exact"],
    ["", "Exact gradient", number(gradient, 4), "∂E[cost]/∂θ"],
    ["of-bias", "Bias", number(moments.bias), `${how}; ${rule.unbiased ? "claimed to be 0" : "not claimed to be 0"}`],
    ["of-rule", "Variance", number(moments.variance), `standard deviation ${number(moments.sd)}`],
    ["of-rule", "Price", plural(moments.evaluations, "evaluation"),
     `${number(variant.evaluations)} per sample; needs ${rule.needs.join(", ") || "nothing"}`],
  ].map(([kind, term, value, note]) => {
    const box = document.createElement("div");
    box.className = kind;
    for (const [name, text, cls] of [["dt", term, ""], ["dd", value, "value"], ["dd", note, "how"]]) {
      box.appendChild(Object.assign(document.createElement(name), { textContent: text, className: cls }));
    }
    return box;
  }));
}

function fillTable(now) {
  const rows = data.rules.filter(({ name }) => name in now.problem.rules).map(({ name }) => {
    const variant = variantOf(now.problem, name, now.temperature);
    return { name, sampled: !variant.exact, ...momentsOf(variant, now.i, now.n, now.gradient) };
  }).sort((a, b) => a.error - b.error);
  const focused = document.activeElement?.dataset?.rule;
  byId("table").replaceChildren(...rows.map(row => {
    const tr = document.createElement("tr"), button = document.createElement("button");
    button.type = "button";
    button.dataset.rule = button.textContent = row.name;
    button.addEventListener("click", () => { byId("rule").value = row.name; update(); });
    if (row.name === now.rule.name) {
      tr.className = "chosen";
      button.setAttribute("aria-current", "true");
    }
    tr.insertCell().appendChild(button);
    const bias = row.none ? (row.sampled ? "≈ 0" : "0") : number(row.bias, 2);
    for (const text of [bias, number(row.sd, 2), number(row.error, 2), number(row.evaluations)]) {
      tr.insertCell().textContent = text;
    }
    return tr;
  }));
  if (focused) byId("table").querySelector(`[data-rule="${focused}"]`).focus();
}

// ---- start ------------------------------------------------------------------------------------------------------

function update() {
  byId("temperature").disabled = !data.rules.find(r => r.name === byId("rule").value).temperature;
  const now = chosen();
  say(now);
  fillTable(now);
  draw(now);
}

function draw(now = chosen()) {
  drawLoss(now);
  drawGradient(now);
  drawHistogram(now);
}

function options(id, pairs) {
  byId(id).replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
}

function ranges(id, values, start) {
  byId(id).max = values.length - 1;
  byId(id).value = values.reduce((best, v, k) => Math.abs(v - start) < Math.abs(values[best] - start) ? k : best, 0);
}

options("problem", data.problems.map((p, k) => [k, p.name]));
options("rule", data.rules.map(r => [r.name, r.name]));
byId("problem").value = Math.min(2, data.problems.length - 1);
byId("rule").value = "StraightThrough";
ranges("theta", data.thetas, -1);
ranges("samples", data.samples, 4);
ranges("temperature", data.temperatures, 0.5);
byId("footer").textContent = `minigrad ${data.version} computed every number and every estimate on this page (seed ${data.seed}). ` +
  "Expected costs and exact gradients: by enumerating the states of all bits. Bias and variance: exact if the rule's " +
  "noise has few outcomes, otherwise from samples, with the standard error of the mean. Rules with a memory are not " +
  "shown, because their estimates depend on earlier calls.";
for (const control of controls) control.addEventListener("input", update);
addEventListener("resize", () => draw());
update();
