"use strict";

// --- Calls to our own address carry the CSRF token, so that a page may call the interfaces by a plain fetch
const plainFetch = window.fetch;
window.fetch = (resource, options) => {
  const request = new Request(resource, options);
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  const writes = !["GET", "HEAD", "OPTIONS", "TRACE"].includes(request.method);
  if (writes && token && new URL(request.url).origin === location.origin && !request.headers.has("X-CSRFToken")) {
    request.headers.set("X-CSRFToken", token);
  }
  return plainFetch(request);
};

// --- The charts of the theme count whole things: no ticks between them
if (window.Chart) Chart.defaults.set("scales.linear", { ticks: { precision: 0 } });

// --- Cells that are cut off say in full what they hold
document.addEventListener("mouseover", (event) => {
  const cell = event.target.closest?.("#result_list td, #result_list th, .ky-cut");
  if (cell && !cell.title && cell.scrollWidth > cell.clientWidth) cell.title = cell.textContent.trim();
});

// --- Small panels: one at a time, closed by Escape or a click elsewhere
document.addEventListener("click", (event) => {
  if (event.target.closest(".select2-container")) return;
  for (const menu of document.querySelectorAll(".ky-menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(".ky-menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// --- 复制 beside a text
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.parentElement.querySelector("[data-copy-text]");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "已复制";
  } catch {
    // no clipboard without HTTPS: mark the text, so that Ctrl-C takes it
    getSelection().selectAllChildren(text);
    button.textContent = "已选中，请按 Ctrl+C";
  }
});

// --- A form that is on its way is not sent twice
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 5000);
});

// --- 全选 of a row and of a domain in the permission table
function addSelectAll(place, boxes) {
  const label = document.createElement("label");
  const all = document.createElement("input");
  label.className = "ky-check ky-all";
  all.type = "checkbox";
  label.append(all, "全选");
  place.append(label);

  const refresh = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    all.checked = chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) {
      if (box.checked === all.checked) continue;
      box.checked = all.checked;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  place.closest("[data-matrix]").addEventListener("change", refresh);
  refresh();
}

document.addEventListener("DOMContentLoaded", () => {
  // small screens leave out what is empty
  for (const cell of document.querySelectorAll("#result_list td")) {
    if (["", "-"].includes(cell.textContent.trim())) cell.classList.add("ky-blank");
  }

  for (const table of document.querySelectorAll("[data-matrix] table")) {
    const boxes = [...table.tBodies[0].querySelectorAll("input")];
    for (const row of table.tBodies[0].rows) addSelectAll(row.cells[0], [...row.querySelectorAll("td input")]);
    addSelectAll(table.tHead.rows[0].cells[0], boxes);
  }

  for (const box of document.querySelectorAll("[data-only-differing]")) {
    const table = box.closest("section").querySelector("table");
    const refresh = () => table.classList.toggle("ky-only-differing", box.checked);
    box.addEventListener("change", refresh);
    refresh();
  }

  if (window.django?.jQuery?.fn.select2) django.jQuery.fn.select2.defaults.set("language", "zh-CN");
});

// --- Back to the form as it was filled in
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-history-back]") || history.length < 2) return;
  event.preventDefault();
  history.back();
});

// --- A choice that takes effect at once
document.addEventListener("change", (event) => {
  if (event.target.matches?.("select[data-submit]")) event.target.form.submit();
});

// --- A small form in a dialog: the page behind it stays; without this script the link opens the form as a page
const QUICK = "dialog";

async function openQuick(link) {
  const url = new URL(link.href);
  url.searchParams.set("next", location.pathname + location.search);
  url.searchParams.set(QUICK, "1");
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok || response.redirected) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  dialog.className = "ky-dialog";
  dialog.innerHTML = await response.text();
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (!event.target.closest("[data-close]")) return;
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = dialog.querySelector("button.ky-primary");
    button.disabled = true;
    const form = new FormData(event.target);
    form.set(QUICK, "1");
    const answer = await fetch(event.target.action, { method: "POST", body: form, credentials: "same-origin" });
    if (answer.status === 204) return location.reload();
    if (answer.ok && !answer.redirected) dialog.innerHTML = await answer.text();
    else event.target.submit();
  });
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-quick]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button || !window.HTMLDialogElement) return;
  event.preventDefault();
  openQuick(link);
});
