"use strict";

// A card that is dropped into another column presses the button of that stage in its own form.
let dragged = null;

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.(".ky-deal[draggable]");
  if (dragged) event.dataTransfer.setData("text/plain", "");
});

document.addEventListener("dragend", () => {
  dragged = null;
  for (const column of document.querySelectorAll(".ky-over-column")) column.classList.remove("ky-over-column");
});

document.addEventListener("dragover", (event) => {
  const column = dragged && event.target.closest?.("[data-stage]");
  if (!column) return;
  const button = dragged.querySelector(`button[name=stage][value="${column.dataset.stage}"]`);
  for (const other of document.querySelectorAll(".ky-over-column")) other.classList.toggle("ky-over-column", false);
  if (!button) return;
  event.preventDefault();
  column.classList.add("ky-over-column");
});

document.addEventListener("drop", (event) => {
  const column = dragged && event.target.closest?.("[data-stage]");
  const button = column && dragged.querySelector(`button[name=stage][value="${column.dataset.stage}"]`);
  if (!button) return;
  event.preventDefault();
  button.form.requestSubmit(button);
});
