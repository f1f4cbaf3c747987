"use strict";

// What is open of the contract or order chosen in a new receipt or invoice; fields that somebody filled in stay.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-open-amounts]");
  if (!box) return;
  const roots = box.dataset.roots.split(" ");
  const touched = new Set();
  const field = (name) => document.getElementById(`id_${name}`);
  document.addEventListener("input", (event) => touched.add(event.target.name));

  async function refresh(name) {
    const query = new URLSearchParams({ [name]: field(name).value });
    const response = await fetch(`${box.dataset.openAmounts}?${query}`, { credentials: "same-origin" });
    if (!response.ok || query.get(name) !== field(name).value) return;
    const told = await response.json();
    box.innerHTML = told.html;
    const plan = field("plan");
    if (plan) plan.replaceChildren(plan.options[0], ...told.choices.plan.map(([key, label]) => new Option(label, key)));
    for (const key of ["plan", "amount", "title", "tax_no"]) {
      if (!field(key) || touched.has(key)) continue;
      field(key).value = told.values[key] ?? "";
      django.jQuery(field(key)).trigger("change.select2");
    }
  }

  for (const name of roots) {
    django.jQuery(field(name)).on("change", () => {
      const others = roots.filter((other) => other !== name && field(other).value);
      if (!field(name).value && others.length) return;
      for (const other of others) django.jQuery(field(other)).val(null).trigger("change.select2");
      refresh(name);
    });
  }
});
