"""The page shows what the model does, is exactly its text, and can be used by everyone."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import opened
from conftest import EVERY_MODEL, FABLES, make_checkpoint, model_name

from chargen.analysis.predictions import expected
from chargen.analysis.units import units_of, what_units_follow
from chargen.config import ModelConfig
from chargen.errors import NumericalError
from chargen.model import Model
from chargen.report.excerpt import MOST_SHOWN, name_of
from chargen.report.page import TEMPERATURES, Material, to_html, wanted_characters
from report.conftest import HOSTILE, line

TEXT = HOSTILE + FABLES[:6000]
SHOWN = len(HOSTILE) + 500
HISTORY = [
    line(10, 4.5, sample=HOSTILE),
    line(20, 3.5, sample="lines that it wrote"),
    line(30, 3.25, sample="", best=False),
]
SECTIONS = [
    "How it learned",
    "Without a network",
    "What it wrote",
    "What surprised it",
    "What single units follow",
    "Which characters are alike",
    "How far gradients reach",
]
KINDS = [
    each
    for each in EVERY_MODEL[::13]
    # Random weights of these two, with carried state, would explode.
    if each.predict == "last" or each.activation not in ("relu", "leaky_relu")
]
BASELINES = [("this model: LSTM 1x24, one-hot", 2.5), ("<b>, after the training text", 3.5)]
# Of everything with text of its own: the ratio of its colour and that of the ground behind it.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const found = [];
  const measure = (element, pseudo) => {
    const style = getComputedStyle(element, pseudo);
    const svg = element instanceof SVGElement;
    const ink = channels(svg ? style.fill : style.color);
    let behind = element;
    let ground = channels(getComputedStyle(behind).backgroundColor);
    while (ground[3] === 0 && behind.parentElement) {
      behind = behind.parentElement;
      ground = channels(getComputedStyle(behind).backgroundColor);
    }
    const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.outerHTML.slice(0, 80)]);
  };
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (["SCRIPT", "OPTION"].includes(element.tagName)) continue;
    if (own) measure(element);
    if (element.matches("[data-mark], [data-control]")) measure(element, "::before");
  }
  return found;
}"""
# Texts in the main part that nobody can see: not drawn, or outside what a box shows.
HIDDEN = """() => {
  const hidden = [];
  for (const element of document.querySelectorAll("#main *")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3);
    const text = own.map((node) => node.data).join("");
    if (!text.trim() || ["OPTION", "LABEL"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const drawn = element.getClientRects().length > 0 && style.visibility === "visible";
    let cut = false;
    for (let box = element; box; box = box.parentElement) {
      const overflow = getComputedStyle(box).overflowY;
      if (overflow !== "visible" && box.scrollHeight > box.clientHeight + 1) cut = true;
    }
    if ((!drawn || cut) && element.id !== "reading-hint") hidden.push(text);
  }
  return hidden;
}"""


def make_model(folder: Path, text: str = TEXT, **options: Any) -> Model:
    return Model(make_checkpoint(folder, text, **{"units": 24} | options))


def material(**more: Any) -> Material:
    return Material(**{"history": HISTORY, "text": TEXT, "length": SHOWN} | more)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("models") / "<b>ck")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of two characters, which make no map: Matplotlib takes most of a page's time."""
    return make_model(tmp_path_factory.mktemp("models") / "small", "ab", units=2)


@pytest.fixture(scope="module")
def html(model: Model) -> str:
    """A page with all that a page can have."""
    return to_html(model, material(baselines=BASELINES))


@pytest.fixture(scope="module")
def file(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def page(file: Path, browser: Any) -> Iterator[Any]:
    with opened(browser, file, viewport={"width": 1400, "height": 900}) as page:
        yield page


def tip(page: Any) -> str:
    """What the panel says, on one line."""
    assert page.locator("#tip").is_visible()
    return " ".join(page.locator("#tip").inner_text().split())


def classes(page: Any, name: str) -> list[str]:
    return page.eval_on_selector_all(f"#{name} i", "all => all.map((each) => each.className)")


def test_all_sections_are_there_and_the_contents_lead_to_them(page: Any):
    assert page.title() == "<b>ck · chargen report"
    assert page.locator("h1").inner_text() == "<b>ck"
    assert page.locator("h2").all_inner_texts() == SECTIONS
    links = page.locator("nav a")
    assert links.all_inner_texts() == ["What it is", *SECTIONS]
    for link in links.all():
        assert page.locator(link.get_attribute("href")).count() == 1
    assert page.locator("svg[role=img]").count() == 3


def test_the_text_shown_is_exactly_the_text(page: Any):
    for name in ("reading-text", "units-text"):
        shown = page.locator(f"#{name}").evaluate("each => each.textContent")
        assert shown == TEXT[:SHOWN].replace("\0", "")
        assert page.locator(f"#{name} > i").count() == SHOWN
        assert page.locator(f"#{name} i > *").count() == 0
    assert page.locator("script").count() == 2
    samples = page.locator(".written").all_text_contents()
    assert samples[0].startswith('<script>alert("x")</script> [bold]no[/bold] &lt;b&gt;')
    assert "\\x1b[31mred" in samples[0]
    assert samples[1:3] == ["lines that it wrote", ""]
    assert "<b>, after the training text" in page.locator(".bars").inner_text()
    assert "49" not in page.locator("#reading-text").inner_text(), "no template was run"


def test_pointing_at_a_character_shows_what_was_expected(page: Any, model: Model):
    found = expected(model, TEXT[:SHOWN], 5)
    place = len(HOSTILE) + 40
    page.locator("#reading-text i").nth(place).hover()
    said = tip(page)
    assert said.startswith(f"{name_of(TEXT[place])} {found.bits[place]:.2f} bits")
    rows = page.locator("#tip tr").all_inner_texts()
    names = [model.vocabulary.characters[index] for index in found.likeliest[place]]
    assert [row.split("\t")[0].strip() for row in rows] == [name_of(each) for each in names]
    shares = [float(row.split("\t")[1].removesuffix(" %")) for row in rows]
    assert shares == pytest.approx((100 * found.probabilities[place]).tolist(), abs=0.51)
    page.mouse.move(5, 5)
    page.locator("h2").first.hover()
    assert not page.locator("#tip").is_visible()


def test_the_arrow_keys_move_through_the_text_and_say_what_was_expected(page: Any, model: Model):
    found = expected(model, TEXT[:SHOWN], 5)
    characters = page.locator("#reading-text i")
    assert page.locator("#reading-text [tabindex='0']").count() == 1
    characters.first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    said = page.locator("#said").inner_text()
    assert said.startswith(f"{name_of(TEXT[2])}: {found.bits[2]:.2f} bits")
    best = model.vocabulary.characters[found.likeliest[2, 0]]
    assert f"Expected: {name_of(best)} " in said
    assert tip(page).startswith(TEXT[2])
    assert page.locator("#reading-text [tabindex='0']").count() == 1
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()
    page.keyboard.press("End")
    assert page.evaluate(
        "document.activeElement === document.querySelector('#reading-text').lastChild"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert page.evaluate(
        "document.activeElement === document.querySelector('#reading-text').firstChild"
    )
    page.keyboard.press("ArrowLeft")
    top = "document.activeElement.getBoundingClientRect().top + scrollY"
    heights = [page.evaluate(top)]
    for _ in range(4):
        page.keyboard.press("ArrowDown")
        heights.append(page.evaluate(top))
    assert all(below > above + 5 for above, below in pairwise(heights))
    page.keyboard.press("ArrowUp")
    assert page.evaluate(top) == pytest.approx(heights[-2], abs=3)


def test_pointing_at_a_unit_colours_the_text_by_what_it_does(page: Any, model: Model):
    findings = what_units_follow(model, TEXT[SHOWN:])
    rows = page.locator("tr[data-unit]")
    assert rows.count() >= 2
    first = findings.followers[0]
    assert rows.first.locator("button").inner_text() == first.trait
    assert f"{first.measured:+.2f}".replace("-", "−") in rows.first.inner_text()
    unit = str(units_of(model.config)[first.unit]).rpartition(", ")[2]
    assert unit in rows.first.inner_text()
    before = classes(page, "units-text")
    assert len(set(before)) > 3
    second = next(row for row in rows.all()[1:] if row.get_attribute("data-unit") != "0")
    second.hover()
    during = classes(page, "units-text")
    assert during != before
    assert second.locator("button").inner_text() in page.locator("#shown-unit").inner_text()
    page.locator("h1").hover()
    assert classes(page, "units-text") == before
    second.locator("button").focus()
    assert classes(page, "units-text") == during
    page.keyboard.press("Enter")
    page.locator("h1").click()
    assert classes(page, "units-text") == during
    assert second.locator("button").get_attribute("aria-pressed") == "true"
    assert rows.first.locator("button").get_attribute("aria-pressed") == "false"
    page.locator("#other").select_option(index=3)
    assert classes(page, "units-text") != during
    page.locator("#units-text i").nth(600).hover()
    name = page.locator("#other option:checked").inner_text()
    assert re.fullmatch(rf".* {re.escape(name)}: −?\d\.\d\d", tip(page))


def test_the_page_is_whole_without_its_script(file: Path, browser: Any):
    with opened(browser, file, java_script_enabled=False) as page:
        assert page.locator("#reading-text i").count() == SHOWN
        assert page.locator("#units-text .u0, #units-text .u8").count() > 0


@pytest.mark.parametrize("width", [320, 400, 800, 1100, 1400])
def test_the_page_is_never_wider_than_the_screen(width: int, file: Path, browser: Any):
    with opened(browser, file, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        last = page.locator("#reading-text i").nth(60)
        last.hover()
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("media", ["screen", "print"])
def test_all_text_stands_out_from_its_ground(scheme: str, media: str, file: Path, browser: Any):
    with opened(browser, file, color_scheme=scheme) as page:
        page.emulate_media(media=media, color_scheme=scheme)
        found = page.evaluate(CONTRASTS)
        assert len(found) > SHOWN
        assert min(found)[0] >= 4.5, min(found)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        is_dark = scheme == "dark" and media == "screen"
        assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 60) == is_dark


def test_every_colour_of_a_scale_leaves_text_readable(file: Path, browser: Any):
    """A page need not have all of them."""
    for scheme in ("light", "dark"):
        with opened(browser, file, color_scheme=scheme) as page:
            names = [f"s{k}" for k in range(6)] + [f"u{k}" for k in range(9)]
            page.evaluate(
                "names => names.forEach((name, k) => {"
                "document.querySelectorAll('#reading-text i')[k].className = name })",
                names,
            )
            assert min(page.evaluate(CONTRASTS))[0] >= 4.5
            grounds = page.eval_on_selector_all(
                "#reading-text i",
                "all => all.slice(0, 15).map((i) => getComputedStyle(i).backgroundColor)",
            )
            assert len(set(grounds)) == 14, "the middle of both scales is the page itself"


def test_nothing_is_hidden_in_print(file: Path, browser: Any):
    with opened(browser, file, viewport={"width": 760, "height": 1000}) as page:
        page.emulate_media(media="print")
        assert page.evaluate(HIDDEN) == []
        assert not page.locator("nav").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 760


def test_the_first_stop_of_the_keyboard_skips_to_the_report(page: Any):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_the_page_forbids_the_network_and_all_scripts_but_its_own(html: str):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'; ")
    (scripts,) = re.findall(r"script-src ([^;]*);", policy)
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", scripts)
    outside = re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', html)
    assert outside == []
    assert set(re.findall(r"https?://[\w./]*", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_no_text_can_end_the_data_of_the_script(html: str, tmp_path: Path):
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL
    )
    assert "<" in json.loads(data)["reading"]["names"]
    assert "<" not in data
    assert html.count("</script>") == 2


def test_ids_are_unique_and_the_page_comes_out_alike(html: str, model: Model):
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(set(ids)) == len(ids)
    assert to_html(model, material(baselines=BASELINES)) == html


@pytest.mark.parametrize("config", KINDS, ids=model_name)
def test_every_kind_of_network_has_a_page(config: ModelConfig, tmp_path: Path):
    text = "abcdefghij\n"[: config.vocabulary_size] * 200
    options = {name: value for name, value in vars(config).items() if name != "vocabulary_size"}
    model = make_model(tmp_path / "ck", text, **options)
    html = to_html(model, Material(text=text, length=50))
    assert html.count("<i class") == 6 + 9 + 2 * 50
    assert ("at the end of the window" in html) == (config.predict == "last")
    assert ("a layer that reads backward" in html) == config.bidirectional
    assert ("cell states" in html) == (config.cell == "lstm")
    assert ("Which characters are alike" in html) == (len(model.vocabulary) > 2)


@pytest.mark.slow
def test_a_large_alphabet_and_a_long_text_stay_below_five_megabytes(tmp_path: Path):
    rng = np.random.default_rng(0)
    points = rng.integers(0x4E00, 0x4E00 + 5000, 13_000)
    text = "".join(map(chr, points.tolist()))
    model = make_model(tmp_path / "ck", text, units=64, embedding=16)
    assert len(model.vocabulary) > 4000
    html = to_html(model, Material(text=text, length=MOST_SHOWN))
    assert len(html.encode()) < 5_000_000
    assert html.count("<i class") == 6 + 9 + 2 * MOST_SHOWN
    assert "120 most frequent" in html


def test_a_short_text_has_no_units_and_says_why(small: Model):
    html = to_html(small, Material(text="ab" * 50))
    assert "The texts are too short to say" in html
    strange = to_html(small, Material(text="ab" * 50 + "\N{SNOWMAN}" * 3000, length=100))
    assert "The texts are too short to say" in strange
    assert html.count("<i class") == 6 + 100
    elsewhere = to_html(small, Material(text="ab" * 50, elsewhere="abba" * 500))
    assert "all from the text that the network learned from" in elsewhere
    assert elsewhere.count("<i class") == 6 + 9 + 200


def test_without_a_text_the_page_says_so(model: Model):
    html = to_html(model, Material())
    assert html.count("There is no text to look at") == 2
    assert "<i class" not in html
    assert "Which characters are alike" in html, "the output layer's bias says which are frequent"


def test_characters_that_the_model_does_not_know_are_marked(small: Model):
    html = to_html(small, Material(text="ab\N{SNOWMAN}a"))
    assert html.count('<i class="unscored">\N{SNOWMAN}</i>') == 1
    assert html.count('<i class="unscored">a</i>') == 1, "nothing predicts the first"
    assert "Characters that the network does not know" in html


def test_where_the_text_is_from_is_said(small: Model):
    assert "held out of its training" in to_html(small, Material(text="ab"))
    own = to_html(small, Material(text="ab", origin="training"))
    assert "Nothing was held out, so this is the beginning of the text that it learned from" in own
    given = to_html(small, Material(text="ab", origin="given", name="/home/me/a&b.txt"))
    assert "The beginning of <bdi>a&amp;b.txt</bdi>" in given
    assert "/home/me" not in given


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([], "Nothing is recorded of its training."),
        ([line(9, 3)], "There was a single evaluation, which makes no curve."),
        ([line(9, 3), line(19, 2)], "Not recorded by the chargen that trained this."),
        (
            [line(9, 3, validation_bits=None), line(19, 2, validation_bits=None, train_nats=None)],
            "Nothing was held out, so there is only the curve",
        ),
        ([line(9, 3, best=False, sample="one")], "It has not been evaluated."),
    ],
)
def test_what_is_not_recorded_is_said(history: list[dict[str, Any]], said: str, small: Model):
    assert said in to_html(small, Material(history=history))


def test_a_run_that_ends_where_it_diverged_held_out_what_it_held_out(small: Model):
    nothing = dict.fromkeys(("train_nats", "validation_bits", "validation_nats", "best"))
    html = to_html(small, Material(history=[line(9, 3), line(19, 2), line(29, 2, **nothing)]))
    assert "Where the two curves part" in html
    assert "Nothing was held out" not in html.partition('id="reading"')[0]
    assert "from 3.00 to 2.00" in html


def test_samples_over_time_are_the_first_some_between_and_the_last(small: Model):
    history = [line(step, 3, sample=f"text {step}") for step in range(1, 42)]
    html = to_html(small, Material(history=history))
    assert re.findall(r"text \d+(?=<)", html) == [f"text {step}" for step in (1, 11, 21, 31, 41)]
    assert html.count("<figcaption>temperature") == len(TEMPERATURES)


def test_a_new_line_is_named_only_if_the_model_knows_one(model: Model, small: Model):
    assert "\n" not in small.vocabulary
    for each, begins in ((model, True), (small, False)):
        html = to_html(each, Material())
        assert ("These texts begin with a new line and are drawn" in html) == begins
        assert ("These texts are drawn with the random seed" in html) != begins


def test_the_random_seed_decides_what_is_written(small: Model):
    pages = [to_html(small, Material(random_seed=seed)) for seed in (0, 0, 1)]
    assert pages[0] == pages[1]
    written = [re.findall(r"blockquote.*?>([ab]*)<", page) for page in pages]
    assert written[0] != written[2]


def test_the_report_looks_at_more_text_than_it_shows(small: Model):
    assert wanted_characters(small, 100) > 10_000


def test_a_network_that_exploded_is_refused(tmp_path: Path):
    model = make_model(tmp_path / "ck")
    model.network.dense_kernel[...] = np.nan
    with pytest.raises(NumericalError):
        to_html(model, material())
