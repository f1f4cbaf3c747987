"use strict";

/* Keeps a progress display (crm/jobs/_progress.html) up to date; the page is loaded anew when the job has ended. */
for (const box of document.querySelectorAll("[data-job][data-finished=no]")) {
  const bar = box.querySelector("[role=progressbar]");

  const show = (job) => {
    bar.setAttribute("aria-valuenow", job.percent);
    bar.firstElementChild.style.width = `${job.percent}%`;
    for (const place of box.querySelectorAll("[data-job-text]")) {
      place.textContent = job[place.dataset.jobText] || "—";
    }
  };

  const ask = async () => {
    try {
      const answer = await fetch(box.dataset.job, { headers: { Accept: "application/json" } });
      const job = await answer.json();
      const stateChanged = job.state !== box.querySelector("[title=状态]").textContent.trim();
      if (job.finished || stateChanged) {
        window.location.reload();
        return;
      }
      show(job);
    } catch {
      box.querySelector("[data-job-text=message]").textContent = "暂时联系不上服务器，正在重试……";
    }
    window.setTimeout(ask, 1000);
  };

  window.setTimeout(ask, 1000);
}
