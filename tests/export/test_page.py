"""A page is the generator: what it predicts, writes and shows, in Chromium and from a file."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import opened
from conftest import (
    EVERY_MODEL,
    FABLES,
    make_checkpoint,
    model_archive,
    model_name,
    random_weights,
)

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.directory import HISTORY, HISTORY_FIELDS, MODEL, Checkpoint
from chargen.config import ModelConfig
from chargen.errors import CheckpointError
from chargen.export.page import to_html
from chargen.model import Model, load

CHARACTERS = "\n abcdefghi"
HALVES = 1e-2
"""How far the logits of weights rounded to float16 may lie from those of the weights themselves."""
ODD = "\n\0\t\r\x1b &;()</>[]abcdeilmnoprst!-=\"'13\u2028\u202eא\ufeff漢😀"
"""Markup of several kinds, and characters that HTML, JSON or a terminal treats in its own way."""

SAME = 1e-4
"""The same for two ways to compute with the same weights."""
CJK = "".join(map(chr, range(0x4E00, 0x4E00 + 4000)))
FORM = ["prompt", "temperature", "top-k", "length", "seed", "write", "copy"]
"""What can be focused while nothing is being written, in order."""
COLOURS = """() => {
    const ground = (one) => {
        const colour = getComputedStyle(one).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" ? ground(one.parentElement) : colour;
    };
    return [...document.body.querySelectorAll("*")]
        .filter((one) => one.checkVisibility() && !one.disabled && one.localName !== "script")
        .filter((one) => one.value || [...one.childNodes].some((node) => node.nodeType === 3))
        .map((one) => [
            one.localName, one.textContent.trim(), getComputedStyle(one).color, ground(one)
        ]);
}"""
"""Each element that shows text of its own: its name, text, colour and ground."""
GROWN = """async (length) => {
    while (document.getElementById("text").textContent.length <= length) {
        await new Promise(requestAnimationFrame);
    }
}"""
"""Waits until the text is longer; Playwright's own way to wait for that is against the policy."""
EACH_LOGITS = """text => Array.from(
    {length: text.length + 1}, (_, n) => chargen.logits(text.slice(0, n))
)"""
"""The logits of what follows each beginning of a text."""


def settled(model: ModelConfig) -> list[np.ndarray]:
    """Random weights with which a network forgets: one that never does magnifies rounding.

    The recurrent kernels' eigenvalues are about 1 at most.
    """
    return [array * np.float32(2 / model.units**0.5) for array in random_weights(model)]


def settled_checkpoint(path: Path, model: ModelConfig) -> Checkpoint:
    characters = CHARACTERS[: model.vocabulary_size]
    checkpoint = make_checkpoint(path, characters, **model.to_json())
    (path / MODEL).write_bytes(model_archive(model, settled(model)))
    return checkpoint


def rounded_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """Round the weights of a checkpoint as its page does."""
    halves = [array.astype(np.float16).astype(np.float32) for array in checkpoint.weights()]
    (checkpoint.path / MODEL).write_bytes(model_archive(checkpoint.model, halves))
    return checkpoint


def page_of(checkpoint: Checkpoint) -> Path:
    """Write a checkpoint's page beside its files."""
    path = checkpoint.path / "page.html"
    path.write_bytes(to_html(checkpoint))
    return path


@pytest.fixture(scope="module")
def page_file(checkpoint: Path) -> Path:
    """The page of an LSTM with random weights."""
    path = checkpoint.parent / "page.html"
    path.write_bytes(to_html(Checkpoint.open(checkpoint)))
    return path


def write(page: Any, *, wait: bool = True) -> str:
    """Press the button, and return the text once it is written."""
    page.get_by_role("button", name="Write").click()
    if wait:
        page.wait_for_selector("#stop[disabled]")
    return text_of(page)


def begin_a_long_text(page: Any) -> None:
    """Press the button for the longest text, which is still being written when a test does more.

    A processor that is slowed down makes sure of that: it could otherwise be there in 0.1 seconds.
    """
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 20})
    page.fill("#length", "100000")
    write(page, wait=False)


def text_of(page: Any) -> str:
    found = page.locator("#text").text_content()
    assert isinstance(found, str)
    return found


def luminance(colour: str) -> float:
    """Of a colour as CSS has it, rgb(r, g, b): from 0, black, to 1, white, as WCAG 2 defines it."""
    red, green, blue = (int(n) / 255 for n in re.findall(r"\d+", colour)[:3])
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# ------------------------------------------------------------------ what it predicts and writes

FEW = [*EVERY_MODEL[:-5:7], EVERY_MODEL[-1]]
"""Each cell and activation, one layer and two, each input and each reading; and the smallest."""


def test_the_few_models_hold_all_that_the_many_do():
    for name in ("cell", "activation", "embedding", "predict", "bidirectional"):
        assert {getattr(m, name) for m in FEW} == {getattr(m, name) for m in EVERY_MODEL}
    assert {model.layers for model in FEW} == {1, 2}


@pytest.mark.numeric
@pytest.mark.parametrize(
    "model",
    [m if m in FEW else pytest.param(m, marks=pytest.mark.slow) for m in EVERY_MODEL],
    ids=model_name,
)
def test_a_page_predicts_and_writes_what_numpy_does(
    model: ModelConfig, tmp_path: Path, browser: Any
):
    checkpoint = settled_checkpoint(tmp_path, model)
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list(checkpoint.vocabulary), 200))
    ids = checkpoint.vocabulary.encode("\n" + text)
    with opened(browser, page_of(checkpoint)) as page:
        found = page.evaluate(EACH_LOGITS, text)
        greedy = page.evaluate("chargen.sample('', {length: 100, temperature: 0})")
    np.testing.assert_allclose(found, Model(checkpoint).logits(ids), rtol=0, atol=HALVES)
    rounded = Model(rounded_checkpoint(checkpoint))
    np.testing.assert_allclose(found, rounded.logits(ids), rtol=0, atol=SAME)
    # Two characters may be equally likely but for rounding, so the texts need not be the same.
    written = checkpoint.vocabulary.encode("\n" + greedy)
    expected = rounded.logits(written[:-1])
    assert len(greedy) == 100
    chosen = np.take_along_axis(expected, written[1:, None].astype(int), axis=1)[:, 0]
    assert (chosen >= expected.max(axis=1) - SAME).all()


def test_a_greedy_text_is_that_of_the_command(tutorial: Path, tmp_path: Path, browser: Any):
    path = tmp_path / "page.html"
    path.write_bytes(to_html(Checkpoint.open(tutorial)))
    with opened(browser, path) as page:
        found = page.evaluate("chargen.sample('This', {length: 100, temperature: 0})")
    assert found == load(tutorial).sample("This", length=100, temperature=0)


def test_without_a_newline_a_text_begins_with_what_is_predicted_from_nothing(
    tmp_path: Path, browser: Any
):
    for predict in ("all", "last"):
        checkpoint = make_checkpoint(tmp_path / predict, "abcdef", predict=predict)
        with opened(browser, page_of(checkpoint)) as page:
            found = page.evaluate("['', 'a', 'ab'].map(chargen.logits)")
        model = Model(checkpoint)
        np.testing.assert_allclose(found[0], model.network.dense_bias, rtol=0, atol=HALVES)
        np.testing.assert_allclose(found[1:], model.logits([0, 1]), rtol=0, atol=HALVES)


def test_exploded_weights_are_noticed_before_a_character_is_written(tmp_path: Path, browser: Any):
    model = ModelConfig(vocabulary_size=4, units=4, window=4, cell="rnn", activation="relu")
    checkpoint = make_checkpoint(tmp_path, "\nabc", **model.to_json())
    weights = [np.full_like(array, 60_000) for array in random_weights(model)]
    (tmp_path / MODEL).write_bytes(model_archive(model, weights))
    with opened(browser, page_of(checkpoint)) as page:
        page.fill("#prompt", "abcabc" * 20)
        assert write(page) == "abcabc" * 20
        assert "not finite" in page.locator("#status").inner_text()


def test_a_seed_repeats_a_text(page_file: Path, browser: Any):
    draw = "async seed => chargen.sample('abc', {length: 300, seed})"
    with opened(browser, page_file) as page:
        seeds = [1, 2, 0, 2**32 - 1, 2**31]
        texts = [page.evaluate(draw, seed) for seed in seeds]
        again = [page.evaluate(draw, seed) for seed in seeds]
        new = [page.evaluate(draw, None) for _ in range(2)]
    assert texts == again
    assert len({*texts, *new}) == len(seeds) + 2
    assert {len(text) for text in texts} == {300}


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (1.5, 4)])
def test_characters_come_as_often_as_they_are_likely(
    temperature: float, top_k: int | None, page_file: Path, checkpoint: Path, browser: Any
):
    draw = """async options => {
        const texts = [];
        for (let seed = 0; seed < 4000; seed++) {
            texts.push(await chargen.sample("ab", {length: 1, seed, ...options}));
        }
        return texts;
    }"""
    model = load(checkpoint)
    logits = model.logits(model.vocabulary.encode("\nab"))[-1].astype(float)
    shares = np.exp((logits - logits.max()) / temperature)
    if top_k is not None:
        shares[np.argsort(-logits)[top_k:]] = 0
    shares /= shares.sum()
    with opened(browser, page_file) as page:
        drawn = "".join(page.evaluate(draw, {"temperature": temperature, "topK": top_k}))
    counts = np.bincount(model.vocabulary.encode(drawn), minlength=len(shares))
    # The draws are always the same ones, so this holds or not: five standard deviations.
    assert (abs(counts - 4000 * shares) <= 5 * np.sqrt(4000 * shares * (1 - shares))).all()


def test_the_likeliest_alone_is_the_greedy_choice(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        texts = [
            page.evaluate("options => chargen.sample('abc', {length: 100, ...options})", options)
            for options in (
                {"temperature": 0},
                {"topK": 1, "temperature": 1.7, "seed": 3},
                {"temperature": 1e-9, "seed": 4},
            )
        ]
    assert len(set(texts)) == 1


def test_options_that_are_out_of_range_are_refused(page_file: Path, browser: Any):
    attempt = "options => chargen.sample('a', options).then(() => '', (error) => `${error}`)"
    with opened(browser, page_file) as page:
        for name, values in {
            "length": [-1, 1.5, "9"],
            "temperature": [-0.1, "hot"],
            "topK": [0, 2.5],
            "seed": [-1, 2**32, 0.5],
        }.items():
            for value in values:
                assert page.evaluate(attempt, {name: value}).startswith(f"RangeError: {name} must")
        assert page.evaluate(attempt, {"length": 0}) == ""


def test_the_page_answers_while_it_writes(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        turns = page.evaluate("""async () => {
            let turns = 0;
            const timer = setInterval(() => turns++, 0);
            await chargen.sample("a", {length: 100000});
            clearInterval(timer);
            return turns;
        }""")
    assert turns > 1


def test_two_texts_are_written_side_by_side(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        alone = page.evaluate("chargen.sample('ab', {length: 20000, seed: 7})")
        together = page.evaluate("""Promise.all([7, 8, 7].map(
            (seed) => chargen.sample('ab', {length: 20000, seed})
        ))""")
    assert together[0] == together[2] == alone != together[1]


# ------------------------------------------------------------------ what it holds


def test_a_page_takes_two_bytes_and_seven_tenths_for_each_parameter(tmp_path: Path):
    for characters, options in ((FABLES, {"units": 256}), ("\n" + CJK, {"embedding": 64})):
        checkpoint = make_checkpoint(tmp_path / str(len(characters)), characters, **options)
        size = len(to_html(checkpoint))
        assert size <= 2.7 * parameter_count(checkpoint.model) + 100_000


def test_the_same_checkpoint_gives_the_same_page(checkpoint: Path, page_file: Path):
    assert to_html(Checkpoint.open(checkpoint)) == page_file.read_bytes()


@pytest.mark.parametrize("value", [65_505.0, -1e6])
def test_a_weight_too_large_for_half_precision_is_refused(value: float, tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path)
    weights = checkpoint.weights()
    weights[1][0, 0] = value
    (tmp_path / MODEL).write_bytes(model_archive(checkpoint.model, weights))
    with pytest.raises(CheckpointError, match=r"ends at 65,504; found .*lower learning_rate"):
        to_html(checkpoint)


def test_the_policy_allows_nothing_but_the_page_itself(page_file: Path):
    page = page_file.read_text()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert all(re.fullmatch(r"'sha256-\S+'", word) for word in rules["script-src"].split())
    allowed = {"script-src", "style-src", "img-src"}
    assert {name for name, value in rules.items() if value != "'none'"} == allowed
    assert rules["img-src"] == "data:"
    assert page.index("Content-Security-Policy") < page.index("<style") < page.index("<script")
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)


def test_the_network_cannot_be_reached(page_file: Path, browser: Any):
    reach = """() => new Promise((resolve) => {
        document.addEventListener("securitypolicyviolation", (event) => resolve(event.blockedURI));
        fetch("https://example.org").then(resolve, () => null);
    })"""
    context = browser.new_context()  # `opened` would see the refusal on the console
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.evaluate(reach) == "https://example.org/"
    context.close()


def test_a_page_says_what_it_is(tmp_path: Path, browser: Any):
    checkpoint = make_checkpoint(tmp_path, cell="gru", layers=2, embedding=3)
    corpus = dataclasses.replace(
        checkpoint.corpus, texts=("../../secret/A <b>&amp; \x1b tale.txt", "-", "/home/me/x.gz")
    )
    with opened(browser, page_of(dataclasses.replace(checkpoint, corpus=corpus))) as page:
        shown = page.locator("body").inner_text()
        assert page.title() == "In the manner of A <b>&amp; \\x1b tale.txt, standard input, x.gz"
    names = "A <b>&amp; \\x1b tale.txt, standard input, x.gz"
    assert f"{names}, 9 characters, 12 distinct" in shown
    assert "GRU 2x12, embedding 3" in shown
    assert f"{parameter_count(checkpoint.model):,}" in shown
    assert "secret" not in shown
    assert "home" not in shown


def test_a_text_without_a_name_is_a_text(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        assert page.locator("h1").inner_text() == "In the manner of a text"


def test_a_page_says_how_it_was_made(tmp_path: Path, browser: Any):
    checkpoint = make_checkpoint(tmp_path)
    evaluation = dict.fromkeys(HISTORY_FIELDS, 1) | {"epoch": 12.3, "validation_bits": 2.0}
    made = dataclasses.replace(checkpoint, versions={"chargen": "1.2<b>", "keras": "3.4"})
    for bits, expected in ((2.0, "; 2.00 bits per character of unseen text"), (None, "")):
        line = json.dumps(evaluation | {"validation_bits": bits})
        (tmp_path / HISTORY).write_text(line + "\n")
        with opened(browser, page_of(made)) as page:
            shown = page.locator("footer dd").last.inner_text()
        assert shown == "chargen 1.2<b> with Keras 3.4, in 12.3 epochs" + expected


def test_a_page_needs_no_history(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path)
    before = to_html(checkpoint)
    (tmp_path / HISTORY).unlink()
    assert to_html(checkpoint) == before


# ------------------------------------------------------------------ the form


def test_a_prompt_is_typed_and_continued(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        page.get_by_label("Prompt").click()
        page.keyboard.type("abc")
        page.keyboard.press("Enter")
        page.keyboard.type("dad")
        page.get_by_label("Length").fill("120")
        page.get_by_label("Random seed").fill("42")
        page.get_by_label("Temperature").fill("1.3")
        page.get_by_label("Top-k").fill("5")
        text = write(page)
        options = {"length": 120, "seed": 42, "temperature": 1.3, "topK": 5}
        again = page.evaluate("options => chargen.sample('abc\\ndad', options)", options)
        status = page.get_by_role("status").inner_text()
    assert text == "abc\ndad" + again
    assert re.fullmatch(r"\s*120 characters at [\d,]+ a second, random seed 42\.", status)


def test_the_seed_that_was_drawn_can_be_typed_in(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        first = write(page)
        seed = re.findall(r"random seed (\d+)", page.locator("#status").inner_text())[0]
        second = write(page)
        page.fill("#seed", seed)
        third = write(page)
    assert first == third != second
    assert len(first) == 500


@pytest.mark.parametrize(("field", "key"), [("#prompt", "Control+Enter"), ("#length", "Enter")])
def test_the_keyboard_alone_is_enough(field: str, key: str, page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        page.locator(field).focus()
        page.keyboard.press(key)
        page.wait_for_selector("#copy:enabled")
        page.wait_for_selector("#stop[disabled]")
        assert len(text_of(page)) == 500


def test_tab_goes_through_the_form_in_its_order_and_shows_where_it_is(
    page_file: Path, browser: Any
):
    focus = """() => {
        const { id } = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return [id, outlineStyle, parseFloat(outlineWidth)];
    }"""
    with opened(browser, page_file) as page:
        write(page)
        page.locator(f"#{FORM[0]}").focus()
        order = []
        for _ in FORM[1:]:
            page.keyboard.press("Tab")
            order.append(page.evaluate(focus))
        page.keyboard.press("Tab")
        assert page.evaluate(focus)[0] not in FORM
    ids, styles, widths = zip(*order, strict=True)
    assert [*ids] == FORM[1:]
    assert set(styles) == {"solid"}
    assert min(widths) >= 2


@pytest.mark.parametrize("way", ["button", "key"])
def test_writing_can_be_stopped(way: str, page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        begin_a_long_text(page)
        page.evaluate(GROWN, 1000)
        if way == "button":
            page.get_by_role("button", name="Stop").click()
        else:
            page.keyboard.press("Escape")
        page.wait_for_selector("#stop[disabled]")
        stopped = text_of(page)
        status = page.locator("#status").inner_text()
        assert page.evaluate("document.activeElement.id") == "write"
        assert page.locator("#text").get_attribute("aria-busy") == "false"
    assert 1000 < len(stopped) < 100_000
    assert re.fullmatch(rf"Stopped after {len(stopped):,} characters, random seed \d+\.", status)


def test_a_new_text_takes_the_place_of_one_being_written(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        begin_a_long_text(page)
        page.fill("#length", "50")
        page.fill("#prompt", "bad")
        page.fill("#seed", "3")
        text = write(page)
        assert text == "bad" + page.evaluate("chargen.sample('bad', {length: 50, seed: 3})")


def test_a_text_is_shown_with_all_its_lines_and_spaces(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        page.fill("#length", "3000")
        page.fill("#seed", "3")
        text = write(page)
        assert "  " in text
        assert "\n\n" in text
        assert page.locator("#text").inner_text().rstrip("\n") == text.rstrip("\n")


def test_a_text_is_copied_with_its_prompt(page_file: Path, browser: Any):
    with opened(browser, page_file, permissions=["clipboard-read", "clipboard-write"]) as page:
        assert page.get_by_role("button", name="Copy").is_disabled()
        page.fill("#prompt", "abc")
        text = write(page)
        page.get_by_role("button", name="Copy").click()
        page.wait_for_selector("#status:has-text('copied')")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_where_copying_is_not_allowed_the_text_is_selected(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
        page.fill("#prompt", "abc")
        text = write(page)
        page.get_by_role("button", name="Copy").click()
        page.wait_for_selector("#status:has-text('selected')")
        assert page.evaluate("getSelection().toString()").rstrip("\n") == text.rstrip("\n")


# ------------------------------------------------------------------ characters


def test_characters_of_every_kind_are_shown_as_they_are(tmp_path: Path, browser: Any):
    checkpoint = make_checkpoint(tmp_path, ODD)
    prompt = "</script><script>alert(1)</script><!-- [bold] <b>a</b> &amp; \x1b[31m \u202ea א漢😀"
    assert set(prompt) <= set(ODD)
    with opened(browser, page_of(checkpoint)) as page:
        assert page.evaluate("text => chargen.unknown(text)", ODD) == []
        page.fill("#prompt", prompt)
        page.fill("#seed", "1")
        page.fill("#length", "2000")
        text = write(page)
        again = page.evaluate("prompt => chargen.sample(prompt, {length: 2000, seed: 1})", prompt)
        assert page.locator("#note").inner_text() == ""
        tags = page.locator("#text *").evaluate_all("all => all.map((one) => one.localName)")
        logits = page.evaluate("text => chargen.logits(text)", prompt)
    assert text == prompt + again
    assert len(again) == 2000  # code points, as Python counts them
    assert set(again) == set(ODD)
    assert set(tags) == {"span"}
    expected = Model(checkpoint).logits(checkpoint.vocabulary.encode("\n" + prompt))[-1]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=HALVES)


def test_nothing_of_the_vocabulary_can_end_the_script_that_holds_it(tmp_path: Path):
    page = to_html(make_checkpoint(tmp_path, ODD)).decode()
    (held,) = re.findall(r'<script type="application/json" id="model">([^<]*)</script>', page)
    assert json.loads(held)["characters"] == "".join(sorted(ODD))


def test_characters_that_the_model_does_not_know_are_left_out(page_file: Path, browser: Any):
    with opened(browser, page_file) as page:
        assert page.evaluate("chargen.logits('aß漢b\\ud800')") == page.evaluate(
            "chargen.logits('ab')"
        )
        page.fill("#prompt", "aß\u200bb漢ß")
        assert write(page).startswith("aß\u200bb漢ß")
        note = page.get_by_role("status").inner_text()
        page.fill("#prompt", "ab")
        write(page)
        assert page.locator("#note").inner_text() == ""
    named = "\u2068ß\u2069 (U+00DF), U+200B, \u2068漢\u2069 (U+6F22)."
    assert f"which was left out: {named}" in note


def test_characters_that_the_model_does_not_know_become_its_stand_in(tmp_path: Path, browser: Any):
    checkpoint = make_checkpoint(tmp_path, "\nabc\ufffd")
    with opened(browser, page_of(checkpoint)) as page:
        assert page.evaluate("chargen.logits('aß😀b')") == page.evaluate(
            "chargen.logits('a\ufffd\ufffdb')"
        )
        page.fill("#prompt", "aß")
        write(page)
        assert "read as" in page.locator("#note").inner_text()
        text = page.evaluate("chargen.sample('a', {length: 3000, temperature: 5})")
    assert set(text) == set("\nabc")  # the stand-in is no character


# ------------------------------------------------------------------ how it looks


@pytest.mark.parametrize("width", [320, 400])
def test_a_narrow_page_does_not_scroll_sideways(width: int, page_file: Path, browser: Any):
    with opened(browser, page_file, viewport={"width": width, "height": 800}) as page:
        page.fill("#prompt", "a" * 300)
        write(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(scheme: str, page_file: Path, browser: Any):
    with opened(browser, page_file, color_scheme=scheme) as page:
        page.fill("#prompt", "aß")
        write(page)
        found = page.evaluate(COLOURS)
    (ground,) = {luminance(ground) for name, _, _, ground in found if name == "h1"}
    assert ground < 0.2 if scheme == "dark" else ground > 0.8
    assert {
        "h1",
        "p",
        "label",
        "small",
        "button",
        "textarea",
        "input",
        "span",
        "article",
        "dt",
    } <= {name for name, *_ in found}
    for name, text, colour, ground in found:
        lighter, darker = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, text, colour, ground)


def test_in_print_the_text_is_left(page_file: Path, browser: Any):
    with opened(browser, page_file, color_scheme="dark") as page:
        write(page)
        page.emulate_media(media="print")
        assert not page.locator("form").is_visible()
        assert page.locator("#text").is_visible()
        assert page.locator("h1").is_visible()
        (ground,) = {ground for *_, ground in page.evaluate(COLOURS)}
    assert luminance(ground) == 1
