"""What a person does in a browser: opens a form, changes some of it, sends it."""

from html.parser import HTMLParser


class FormReader(HTMLParser):
    """The successful controls of one form, as HTML defines them."""

    def __init__(self, form_id):
        super().__init__()
        self.form_id, self.values = form_id, {}
        self._inside, self._select, self._text = False, None, None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        name = given.get("name")
        if tag == "form":
            self._inside = given.get("id") == self.form_id
        elif not self._inside and given.get("form") != self.form_id:
            return
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self._keep(self._select, given.get("value", ""))
        elif tag == "textarea":
            self._text = name
            self.values[name] = ""
        elif tag == "input" and name and given.get("type") not in ("submit", "file", "button"):
            if given.get("type") not in ("checkbox", "radio"):
                self._keep(name, given.get("value", ""))
            elif "checked" in given:
                self._keep(name, given.get("value", "on"))

    def _keep(self, name, value):
        known = self.values.get(name)
        self.values[name] = value if known is None else [*(known if isinstance(known, list) else [known]), value]

    def handle_data(self, data):
        if self._text:
            self.values[self._text] += data

    def handle_endtag(self, tag):
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            if self._text:
                self.values[self._text] = self.values[self._text].removeprefix("\n").removeprefix("\r\n")
            self._text = None


def form_of(browser, url) -> dict:
    """What the form of a record at ``url`` (``/app/model/…``) would send if nobody touched it."""
    response = browser.get(url)
    assert response.status_code == 200, f"{url} answers {response.status_code}"
    reader = FormReader(f"{url.split('/')[2]}_form")
    reader.feed(response.content.decode())
    return {name: value for name, value in reader.values.items() if "__prefix__" not in name}


def posted(browser, url, **changed):
    """The answer to the form at ``url`` sent with ``changed``."""
    return browser.post(url, {**form_of(browser, url), "_save": "1", **changed})


def listed(response, link):
    """How many things stand on the page that ``link`` opens: rows of a list, or what is due today."""
    context = response.context_data
    if "cl" in context:
        return context["cl"].result_count
    return len(context["overdue"]) + (0 if link.endswith("#overdue") else len(context["coming"]))
