"use strict";

document.querySelectorAll("form[data-confirm]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
});

document.querySelectorAll("[data-once]").forEach((button) => {
  button.form.addEventListener("submit", () => window.setTimeout(() => { button.disabled = true; }));
});

document.querySelectorAll("[data-check-all]").forEach((button) => {
  button.addEventListener("click", () => {
    const boxes = [...document.querySelectorAll(`input[name=${button.dataset.checkAll}]`)];
    const all = boxes.every((box) => box.checked);
    boxes.forEach((box) => { box.checked = !all; });
  });
});
