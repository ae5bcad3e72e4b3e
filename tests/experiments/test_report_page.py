"""The page: everything is escaped, nothing is loaded, harm is folded away, what is missing is said."""

import base64
import hashlib
import json
import re

import pytest
from made_folder import COMMAND, PROMPT, REPLY, make
from parsed_page import Page, change, read

from sst_mergekit.reporting.styles import styles
from sst_mergekit.reporting.write import write

MARKUP = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = make(tmp_path_factory.mktemp("made") / "out")
    write(out)
    return out


@pytest.fixture
def out(tmp_path):
    return make(tmp_path / "out")


def test_everything_is_escaped(made):
    html, _, _ = read(made)
    page = Page(html)
    assert REPLY.split()[0] not in html
    assert f"SST-Merge: {REPLY}" in page.text
    assert PROMPT in page.text
    assert COMMAND in page.text
    kinds = [found.get("type") for found in page.having("script")]
    assert kinds == ["application/json", "application/json", None]
    for script in page.scripts[:2]:
        json.loads(script)


def test_a_name_that_is_markup_is_text(out):
    [path] = out.glob("exp3*/*.json")
    path.write_text(path.read_text().replace('"DARE"', json.dumps(MARKUP)))
    write(out)
    page = Page(read(out)[0])
    assert not page.having("img")
    assert MARKUP in page.text
    assert len(page.scripts) == 3


def test_the_page_loads_nothing(made):
    html, _, _ = read(made)
    page = Page(html)
    for _, attributes in page.elements:
        assert not {"src", "srcset", "action", "data", "poster"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not page.having("link")
    assert "@import" not in html
    assert "url(" not in html.replace("url(#${id})", "")
    assert set(re.findall(r"https?://[^\"'\s]*", html)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not a load
    [policy] = page.having("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy["content"] == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_harmful_prompts_are_folded_away_with_a_warning(made):
    page = Page(read(made)[0])
    harmful = page.having("details", **{"class": "answers harmful"})
    assert len(harmful) == 2
    assert all("open" not in found for found in harmful)
    assert page.having("details", **{"class": "answers", "open": None})
    assert page.text.count("harmful requests, and answers to them where a model gave one") == 2


def test_every_chart_has_a_name_and_a_table(made):
    page = Page(read(made)[0])
    assert len(page.having("figure")) == 2
    for name in ("Safety and utility of every method", "Share that is left over the number of experts"):
        assert page.having(
            "div", role="img", **{"aria-label": f"{name}. The table below holds the same figures."}
        )
    regions = {found["aria-label"] for found in page.having("div", role="region")}
    assert {"Points of the fronts", "Share that is left", "Refusals by category"} <= regions


def test_answers_of_hub_data_are_left_out_unless_asked_for(out):
    for experiment in ("exp1", "exp2", "exp3"):
        change(out, experiment, lambda body: body["config"].update(full_name="someone/model"))
    write(out)
    for text in read(out):
        assert "burgle" not in text
        assert "owned" not in text
    assert "add --examples to include them" in read(out)[0]
    write(out, examples=True)
    assert PROMPT in Page(read(out)[0]).text
    change(out, "exp3", lambda body: body["config"].update(full_name="tiny-world"))
    write(out)  # one part of it is of the Hub
    assert "burgle" not in read(out)[0]
    write(out, examples=False)
    assert "burgle" not in read(out)[0]


@pytest.mark.parametrize("present", ["exp1", "exp2", "exp3"])
def test_what_is_not_there_is_said(out, present):
    for path in out.glob("*/exp?_results_*.json"):
        if present not in path.name:
            path.unlink()
    write(out)
    text = Page(read(out)[0]).text
    for experiment in {"exp1", "exp2", "exp3"} - {present}:
        assert f"experiment {experiment[-1]}" in text
    assert "not in this folder" in text


def test_without_units_the_reason_is_shown(out):
    (out / "units").rename(out / "elsewhere")
    write(out)
    assert Page(read(out)[0]).text.count("lacks the scores; copy it along") >= 4
    change(out, "exp3", lambda body: body.pop("units"))
    write(out)
    assert "the result does not say where its scores are" in Page(read(out)[0]).text


def test_every_model_and_mode_has_its_part(out):
    for path in list(out.glob("*/exp?_results_*.json")):
        path.with_name(path.name.replace("minimal", "full")).write_text(path.read_text())
    write(out)
    page = Page(read(out)[0])
    assert len(page.having("article")) == 2
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    anchors = {found["href"][1:] for found in page.having("a")}
    assert anchors <= set(ids)


def test_methods_beyond_the_published_are_behind_a_fold(out):
    def add(body):
        for row in [row for row in body["results"] if row["method"] == "DARE"]:
            body["results"] += [row | {"method": f"further_{number}"} for number in range(30)]

    change(out, "exp3", add)
    write(out)
    html, _, _ = read(out)
    spec = json.loads(Page(html).scripts[0])
    shown = {series["name"] for series in spec["series"] if series["on"]}
    assert {"SST-Merge", "Task Arithmetic", "base model"} <= shown
    assert len(spec["series"]) == 38
    assert not any(name.startswith("further") for name in shown)
    marks = [(series["colour"], series["shape"]) for series in spec["series"]]
    assert len(set(marks)) == len(marks)


def test_marks_differ():
    found = styles(
        ["base", "utility-expert", "safety-expert", "SST-Merge", "Task-Arithmetic", "DARE", "x", "y"]
    )
    marks = [(look.colour, look.shape) for look in found.values()]
    assert len(set(marks)) == len(marks)
