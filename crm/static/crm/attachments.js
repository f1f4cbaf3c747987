"use strict";

// The upload box of attachments: says what was chosen, and what is too large, before anything is sent.
(() => {
  const spoken = (bytes) =>
    bytes < 1024 ? `${bytes} 字节` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1048576).toFixed(1)} MB`;

  function watch(box) {
    const input = box.querySelector("input[type=file]");
    const list = box.querySelector(".ky-chosen");
    const limit = Number(box.dataset.limit);
    const most = Number(box.dataset.maxFiles);
    const known = box.dataset.accept.split(",");

    function complaint(file, place) {
      if (place >= most) return `一次最多 ${most} 个`;
      const extension = `.${file.name.split(".").pop().toLowerCase()}`;
      if (!known.includes(extension)) return "不支持这种文件";
      if (file.size > limit) return `超过 ${spoken(limit)}`;
      return file.size ? "" : "文件是空的";
    }

    function refresh() {
      list.replaceChildren();
      for (const [place, file] of [...input.files].entries()) {
        const item = document.createElement("li");
        const problem = complaint(file, place);
        item.textContent = `${file.name}（${spoken(file.size)}）${problem && `：${problem}，不会上传`}`;
        item.classList.toggle("ky-wrong", Boolean(problem));
        list.append(item);
      }
      list.hidden = !input.files.length;
    }

    input.addEventListener("change", refresh);
    for (const kind of ["dragenter", "dragover"]) {
      box.addEventListener(kind, (event) => {
        event.preventDefault();
        box.classList.add("ky-over");
      });
    }
    box.addEventListener("dragleave", () => box.classList.remove("ky-over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      box.classList.remove("ky-over");
      input.files = event.dataTransfer.files;
      refresh();
    });
    input.form.addEventListener("submit", (event) => {
      const kept = new DataTransfer();
      [...input.files].filter((file, place) => !complaint(file, place)).forEach((file) => kept.items.add(file));
      if (!kept.files.length) {
        event.preventDefault();
        return;
      }
      input.files = kept.files;
      const button = box.querySelector("button");
      button.disabled = true;
      button.textContent = "正在上传……";
    });
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-upload]").forEach(watch));
})();
