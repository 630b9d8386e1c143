"""Cells of an audit as they stand in the forms that people read."""

import html.parser
import json
import re


def text_rows(text, first):
    """Rows of the table whose header starts with `first`; a line alone is their model."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if re.match(rf" *{first}  ", line))
    rows, model = [], []
    for line in lines[start + 1 :]:
        if not line:
            break
        cells = re.split("  +", line.strip())
        if len(cells) == 1:
            model = cells
        else:
            rows.append([*model, *cells])
    return rows


def markdown_rows(text, feature, header):
    """Rows of the table of a feature whose header starts so."""
    section = text[text.index(f"### By {feature}\n") :]
    table = section[section.index(header) :].split("\n\n")[0]
    return [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()][2:]


class Page(html.parser.HTMLParser):
    """Rows of the tables of a page by their spoken names, and the data of its charts."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.captions, self.payload, self._open = {}, [], "", []
        self.feed(page)
        self.payload = json.loads(self.payload) if self.payload else None

    def rows(self, name, which=0):
        """Rows of the table of a name, without its header."""
        return self.tables[name][which][1:]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get("role") == "region":
            self.tables.setdefault(attrs["aria-label"], []).append([])
            self._table = self.tables[attrs["aria-label"]][-1]
        if tag == "tr":
            self._table.append([])
        if tag in ("td", "th"):
            self._table[-1].append("")
        if tag not in ("br", "meta", "link", "input"):
            self._open.append("payload" if attrs.get("id") == "audit" else tag)

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        if "payload" in self._open:
            self.payload += data
        elif "caption" in self._open:
            self.captions.append(" ".join(data.split()))
        elif {"td", "th"} & {*self._open}:
            self._table[-1][-1] = " ".join(f"{self._table[-1][-1]} {data}".split())
