"""A real browser against the live server; screenshots of every journey stay in artifacts/."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from crm import jobs
from crm.models import Job

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the browser's driver runs an event loop in this thread

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.skip("没有安装 chromium：请执行 apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


class Visitor:
    """One person in one browser window."""

    def __init__(self, page, server, name):
        self.page, self.server, self.name = page, server, name
        self.complaints = []
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path):
        return self.page.goto(self.server.url + path)

    def log_in(self, user, password="keyuan2026"):
        self.open("/login/")
        self.page.fill("[name=username]", user.username)
        self.page.fill("[name=password]", password)
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_load_state()

    def shoot(self, title):
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{self.name}-{title}.png"
        try:
            self.page.screenshot(path=path)
        except Error:  # the page was just being loaded anew
            self.page.wait_for_load_state()
            self.page.screenshot(path=path)

    def workers_work(self):
        """What the worker processes would do now."""
        for job in Job.objects.filter(state=Job.State.QUEUED):
            jobs.execute(job.pk)
            job.refresh_from_db()
            assert job.state == Job.State.DONE, job.error or job.message


@pytest.fixture
def visitor(chromium, live_server, request):
    """``visitor(width)`` opens a window; at the end no page may have complained in the console."""
    opened = []

    def window(width=1440, height=900):
        context = chromium.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
        name = request.node.name.removeprefix("test_")
        opened.append(Visitor(context.new_page(), live_server, name))
        return opened[-1]

    yield window
    for person in opened:
        person.page.context.close()
        refused = [text for text in person.complaints if "status of 404" not in text]
        assert not refused, refused
