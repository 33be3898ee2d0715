"use strict";

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const resolve = (schema, all) =>
  schema && schema.$ref ? all[schema.$ref.split("/").pop()] : schema;

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "anything"}`;
  return schema.format ? `${schema.type} (${schema.format})` : schema.type || "anything";
};

const fieldsOf = (schema, all) => {
  const found = resolve(schema, all) || {};
  const properties = Object.entries(found.properties || {});
  if (!properties.length) return element("p", { textContent: typeOf(schema) });
  const required = new Set(found.required || []);
  const rows = properties.map(([name, property]) =>
    element("tr", {},
      element("td", {}, element("code", { textContent: name })),
      element("td", { textContent: typeOf(property) + (required.has(name) ? ", required" : "") }),
      element("td", { textContent: property.description || "" })));
  return element("table", {}, ...rows);
};

const answersOf = (operation, all) => {
  const box = element("div", {}, element("h4", { textContent: "Answers" }));
  const refusals = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (status >= "400") {
      refusals.push(`${status} ${answer.description}`);
      continue;
    }
    for (const [media, content] of Object.entries(answer.content)) {
      box.append(element("p", { textContent: `${status} ${media}` }), fieldsOf(content.schema, all));
    }
  }
  box.append(element("p", { textContent: `Refusals: ${refusals.join(", ")}` }));
  return box;
};

const send = async (method, path, inputs, body, output) => {
  const headers = {};
  const query = new URLSearchParams();
  let address = path;
  for (const { parameter, field } of inputs) {
    if (parameter.in === "path") {
      const kept = parameter.name === "path" ? field.value.split("/") : [field.value];
      address = address.replace(`{${parameter.name}}`, kept.map(encodeURIComponent).join("/"));
    } else if (field.value && parameter.in === "query") {
      query.set(parameter.name, field.value);
    } else if (field.value) {
      headers[parameter.name] = field.value;
    }
  }
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const target = query.size ? `${address}?${query}` : address;
  output.textContent = "…";
  try {
    const answer = await fetch(target, { method, headers, body: body ? body.value : undefined });
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    output.textContent = `${answer.status} ${answer.statusText}\n\n`;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      output.append(decoder.decode(part.value, { stream: true }));
    }
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
};

const trial = (method, path, operation, all) => {
  const inputs = (operation.parameters || []).map((parameter) => ({
    parameter,
    field: element("input", { type: "text", spellcheck: false }),
  }));
  const form = element("form");
  for (const { parameter, field } of inputs) {
    const text = `${parameter.name} (${parameter.in}): ${parameter.description}`;
    form.append(element("label", { textContent: text }, field));
  }
  const media = operation.requestBody && operation.requestBody.content["application/json"];
  const body = media ? element("textarea", { spellcheck: false }) : null;
  if (body) {
    const [example] = resolve(media.schema, all).examples || [{}];
    body.value = JSON.stringify(example, null, 2);
    form.append(element("label", { textContent: "Body" }, body));
  }
  const output = element("pre", { hidden: true });
  output.setAttribute("aria-live", "polite");
  form.append(element("button", { textContent: "Send" }), output);
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    output.hidden = false;
    send(method, path, inputs, body, output);
  });
  return form;
};

const show = (method, path, operation, all) => {
  const inside = element("div", { className: "inside" });
  if (operation.description) inside.append(element("p", { textContent: operation.description }));
  const content = operation.requestBody ? operation.requestBody.content : {};
  for (const [media, { schema }] of Object.entries(content)) {
    inside.append(element("h4", { textContent: `Body, ${media}` }), fieldsOf(schema, all));
  }
  inside.append(
    answersOf(operation, all),
    element("h4", { textContent: "Try it" }),
    trial(method, path, operation, all),
  );
  return element("details", {},
    element("summary", {},
      element("span", { className: "method", textContent: method }),
      " ",
      element("code", { textContent: path }),
      ` ${operation.summary}`),
    inside);
};

const start = async () => {
  const main = document.getElementById("operations");
  const token = document.getElementById("token").value;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch("/openapi.json", { headers });
  if (!answer.ok) {
    main.replaceChildren((await answer.json()).detail);
    return;
  }
  const api = await answer.json();
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").textContent = api.info.description;
  const sections = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const [tag] = operation.tags;
      if (!sections.has(tag)) {
        sections.set(tag, element("section", {}, element("h2", { textContent: tag })));
      }
      sections.get(tag).append(show(method.toUpperCase(), path, operation, api.components.schemas));
    }
  }
  main.replaceChildren(...sections.values());
};

document.getElementById("token").addEventListener("change", start);
start();
