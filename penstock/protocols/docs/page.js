"use strict";
// Every text from a model reaches the page through textContent or value, never as markup.
const base = location.pathname.replace(/docs\/?$/, "");
const status = document.getElementById("status");
const template = document.getElementById("model");

function cell(row, text, kind) {
  const td = row.insertCell();
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}

function notes(spec) {
  const found = [];
  if (spec.optional) found.push("optional");
  if (spec.labels) found.push(spec.labels.slice(0, 20).join(", ") + (spec.labels.length > 20 ? ", …" : ""));
  return found.join("; ");
}

function group(body, title, specs) {
  if (!specs.length) return;
  cell(body.insertRow(), title, "group").colSpan = 4;
  for (const spec of specs) {
    const row = body.insertRow();
    cell(row, spec.name, "mono");
    cell(row, spec.datatype, "mono");
    cell(row, "[" + spec.shape.join(", ") + "]", "mono");
    cell(row, notes(spec));
  }
}

function pretty(value, room = 76) {
  // Short lists stay on one line, as people write them.
  const flat = JSON.stringify(value);
  if (flat === undefined || flat.length <= room || typeof value !== "object" || value === null) return flat;
  const inner = Array.isArray(value)
    ? value.map((item) => pretty(item, room - 2))
    : Object.entries(value).map(([key, item]) => JSON.stringify(key) + ": " + pretty(item, room - 2));
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return open + "\n" + inner.join(",\n").replace(/^/gm, "  ") + "\n" + close;
}

function zeros(spec, batched) {
  const shape = batched ? spec.shape.slice(1) : spec.shape;
  const one = spec.datatype === "BYTES" ? "text" : spec.datatype === "BOOL" ? false : 0;
  if (shape.reduce((total, size) => total * (size < 0 ? 1 : size), 1) > 512) return [];
  return shape.reduceRight((value, size) => Array(size < 0 ? 1 : size).fill(value), one);
}

function example(model) {
  if (model.example) return { inputs: model.example.slice(0, 3) };
  const rows = model.inputs.map((spec) => [spec.name, zeros(spec, model.batched)]);
  return { inputs: [rows.length === 1 || model.task ? rows[0][1] : Object.fromEntries(rows)] };
}

function curl(path, body) {
  try { body = JSON.stringify(JSON.parse(body)); } catch { /* shown as it was typed */ }
  const quoted = body.replace(/'/g, "'\\''");
  return `curl -s '${location.origin}${path}' -H 'Content-Type: application/json' -d '${quoted}'`;
}

async function send(path, part, button) {
  const answer = part("answer"), response = part("response"), started = performance.now();
  button.disabled = true;
  answer.className = "answer";
  answer.textContent = "Waiting…";
  try {
    const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: part("body").value });
    const text = await reply.text();
    answer.classList.add(reply.ok ? "good" : "bad");
    answer.textContent = `${reply.status} ${reply.statusText}, ${Math.round(performance.now() - started)} ms`;
    try { response.textContent = pretty(JSON.parse(text)); } catch { response.textContent = text; }
    response.hidden = false;
  } catch {
    answer.classList.add("bad");
    answer.textContent = "The server did not answer";
    response.hidden = true;
  }
  button.disabled = false;
}

function identity(part, model) {
  part("name").textContent = model.name;
  part("version").textContent = "version " + model.version;
  part("runtime").textContent = [model.runtime, model.task, model.precision].filter(Boolean).join(", ");
  const state = part("state");
  state.textContent = model.state.toLowerCase();
  if (model.state === "READY") state.classList.add("ready");
  if (model.state === "FAILED") state.classList.add("failed");
  part("reason").textContent = model.reason;
  part("reason").hidden = !model.reason;
}

function choose(part, doors, reset) {
  // A text model answers on more than one path.
  const select = part("doors");
  select.hidden = doors.length < 2;
  for (const door of doors) select.add(new Option("POST " + door.path));
  select.addEventListener("change", reset);
  return () => doors[select.selectedIndex];
}

function exchange(section, part, model, path) {
  const root = base.replace(/\/$/, ""), others = (model.doors || []).map((door) => ({ ...door, path: root + door.path }));
  const body = part("body");
  const doors = path ? [{ path, body: example(model) }, ...others] : others;
  const door = choose(part, doors, () => reset());
  const refresh = () => { part("curl").textContent = curl(door().path, body.value); };
  const reset = () => {
    part("path").textContent = "POST " + door().path;
    body.value = pretty(door().body);
    refresh();
  };
  body.addEventListener("input", refresh);
  part("reset").addEventListener("click", reset);
  part("copy").addEventListener("click", () => navigator.clipboard.writeText(part("curl").textContent));
  part("copy").hidden = !navigator.clipboard;
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(door().path, part, section.querySelector("[type=submit]"));
  });
  reset();
}

function show(model, path, number) {
  const section = template.content.cloneNode(true).querySelector("section");
  const part = (name) => section.querySelector(`[data-${name}]`);
  section.id = "model-" + number;
  identity(part, model);
  section.setAttribute("aria-label", "Model " + model.name);
  section.querySelector(".scroll").setAttribute("aria-label", "Signature of " + model.name);
  group(part("signature"), "Inputs", model.inputs);
  group(part("signature"), "Outputs", model.outputs);
  exchange(section, part, model, path);
  document.getElementById("models").append(section);
  const link = document.createElement("a");
  link.href = "#" + section.id;
  link.textContent = model.name;
  document.getElementById("index").append(link, " ");
}

async function main() {
  for (const name of ["openapi.json", "health", "metrics"]) {
    document.getElementById("link-" + name.split(".")[0]).href = base + name;
  }
  const reply = await fetch(base + "openapi.json");
  const api = await reply.json();
  document.getElementById("version").textContent = api.info.version;
  const paths = Object.entries(api.paths).filter(([path]) => path !== "/predict");
  const rows = paths.filter(([, item]) => item.post && item.post["x-penstock-model"]);
  const models = rows.map(([path, item]) => [item.post["x-penstock-model"], base.replace(/\/$/, "") + path]);
  // A language model takes no rows: it has no path of its own.
  for (const model of api["x-penstock-models"]) models.push([model, ""]);
  models.forEach(([model, path], number) => show(model, path, number));
  if (models.length < 2) document.getElementById("index").textContent = "";
  status.textContent = models.length ? "" : "No model is served yet.";
  status.hidden = models.length > 0;
}

main().catch(() => { status.textContent = "The description could not be read; reload the page."; });
