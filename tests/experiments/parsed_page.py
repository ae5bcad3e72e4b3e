"""A written report, read back."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """A parsed page: its elements with their attributes, the text outside of scripts, the scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.scripts, self._in = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def having(self, tag, **attributes):
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


def change(folder, experiment, function):
    """Change a result file of a folder in place."""
    [path] = folder.glob(f"*/{experiment}_results_*.json")
    body = json.loads(path.read_text())
    function(body)
    path.write_text(json.dumps(body))


def read(out):
    return (
        (out / "report.html").read_text(),
        (out / "report.json").read_text(),
        (out / "report.md").read_text(),
    )
