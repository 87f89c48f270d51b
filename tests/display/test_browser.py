"""The report in a browser: filters, keyboard, figures, themes, and requests."""

import json

import pytest

pytest.importorskip("selenium", reason="the report is tested with selenium")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from spacy_wnut.display.figures import TaggedCorpus, report_data
from spacy_wnut.display.report import make_page
from spacy_wnut.scoring.measures import ScoredPost

from .conftest import SCRIPT

KINDS = ["right", "missed", "spurious", "wrong_type", "wrong_border", "none"]


@pytest.fixture(scope="module")
def pages(make_data, tmp_path_factory):
    """URLs of reports: one pipeline, two, without confidences, many posts, no entities."""
    folder = tmp_path_factory.mktemp("reports")
    data = {
        "one": make_data(),
        "two": make_data(2),
        "bare": make_data(has_confidence=False, forms=None),
        "many": make_data(times=200),
        "empty": report_data(
            [TaggedCorpus("A", [ScoredPost(["none "], ["O"], ["O"])])],
            "c",
            "gold tokens",
        ),
    }
    for name, figures in data.items():
        (folder / f"{name}.html").write_text(make_page(figures), encoding="utf8")
    return {name: (folder / f"{name}.html").as_uri() for name in data}


@pytest.fixture
def open_page(browser, pages):
    """Open a report in a window of the given width. Afterwards, check that the browser
    logged no errors and requested nothing else.
    """

    def open_at(name, width=1200, scheme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get(pages[name])
        # Tests don't wait for smooth scrolling.
        browser.execute_script("document.documentElement.style.scrollBehavior='auto'")
        return browser

    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    yield open_at
    assert browser.get_log("browser") == []
    messages = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")
    ]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    # The icon is an empty data URL.
    assert asked & {*pages.values()}
    assert asked <= {*pages.values(), "data:,"}


def shown(page):
    """Return the numbers of the visible posts, in order."""
    return page.execute_script(
        "return [...document.querySelectorAll('.post')].map(p => Number(p.dataset.post))"
    )


def rows(page, number):
    """Return the rows of a post: their label, and the text with its marks."""
    return [
        (row.find_element(By.CLASS_NAME, "who").text, row.text.split("\n")[-1])
        for row in page.find_elements(By.CSS_SELECTOR, f"[data-post='{number}'] .row")
    ]


def only(page, name, *values):
    """Select exactly these checkboxes of a fieldset."""
    for box in page.find_elements(By.NAME, name):
        if box.is_selected() != (box.get_attribute("value") in values):
            box.click()


def status(page):
    return page.find_element(By.ID, "status").text


def choose(page, name, text):
    Select(page.find_element(By.NAME, name)).select_by_visible_text(text)


@pytest.mark.parametrize(
    "kind, posts",
    [
        ("right", [1, 8]),
        ("missed", [2]),
        ("spurious", [3]),
        ("wrong_type", [4]),
        ("wrong_border", [5]),
        ("none", [6, 7]),
    ],
)
def test_filter_by_kind(open_page, kind, posts):
    page = open_page("one")
    assert shown(page) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert status(page) == "8 of 8 posts"
    only(page, "kind", kind)
    assert shown(page) == posts
    assert status(page) == f"{len(posts)} of 8 posts"


def test_filter_by_type(open_page):
    page = open_page("one")
    types = ["group", "location", "person"]
    only(page, "type", str(types.index("group")))
    assert shown(page) == [3, 6, 7]
    # By gold or predicted type: the person of post 4 is predicted as a location.
    only(page, "type", str(types.index("person")))
    assert shown(page) == [2, 4, 6, 7, 8]
    only(page, "kind", "wrong_type", "missed")
    assert shown(page) == [2, 4]
    page.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    WebDriverWait(page, 10).until(lambda page: len(shown(page)) == 8)


def test_filter_by_words(open_page):
    page = open_page("one")
    page.find_element(By.NAME, "words").send_keys("LEFT")
    assert shown(page) == [2, 3]
    page.find_element(By.NAME, "words").send_keys(" early")
    assert shown(page) == [3]
    page.find_element(By.NAME, "words").send_keys("?")
    assert shown(page) == [] and status(page) == "0 of 8 posts"


def test_sort_by_confidence(open_page):
    page = open_page("one")
    choose(page, "sort", "Confidence, highest first")
    # Posts without confidences come last, in the order of the corpus.
    assert shown(page) == [1, 4, 8, 5, 3, 2, 6, 7]
    choose(page, "sort", "Confidence, lowest first")
    assert shown(page) == [3, 5, 8, 4, 1, 2, 6, 7]
    only(page, "kind", "spurious", "wrong_type")
    assert shown(page) == [3, 4]


def test_entities_are_marked_with_type_confidence_and_kind(open_page):
    page = open_page("one")
    assert rows(page, 1) == [("Right", "Oslolocation 0.90 is cold")]
    assert rows(page, 2) == [
        ("Gold", "Annperson left"),
        ("Predicted", "Annmissed person left"),
    ]
    assert rows(page, 3) == [
        ("Gold", "we left early"),
        ("Predicted", "wegroup 0.30spurious left early"),
    ]
    assert rows(page, 4)[1] == ("Predicted", "Parislocation 0.80wrong type sings")
    assert rows(page, 5) == [
        ("Gold", "New York Citylocation"),
        ("Predicted", "New Yorklocation 0.50wrong border City"),
    ]
    assert rows(page, 6) == [("Right", "nothing here")]
    # Each emoji has two UTF-16 code units.
    assert rows(page, 8) == [("Right", "😀😀 Zoëperson 0.70 😀 Łódź")]


def test_post_with_a_script_stays_text(open_page):
    page = open_page("one")
    text = f"{SCRIPT} {{{{style}}}} & Bob"
    assert rows(page, 7) == [("Right", text)]
    assert page.title == "A</title><script> on test.spacy"
    assert page.find_element(By.CSS_SELECTOR, "#about dd").text == "A</title><script>"
    # The data and the script of the page.
    assert len(page.find_elements(By.TAG_NAME, "script")) == 2
    assert page.find_elements(By.TAG_NAME, "img") == []


def test_cell_of_the_confusion_matrix_filters_posts(open_page):
    page = open_page("one")
    assert not page.find_element(By.ID, "cell").is_displayed()
    find = "[aria-label^='1: gold person, predicted location']"
    page.find_element(By.CSS_SELECTOR, find).send_keys(Keys.ENTER)
    WebDriverWait(page, 10).until(lambda page: shown(page) == [4])
    # The focus moves to the posts.
    assert page.switch_to.active_element.get_attribute("id") == "posts"
    cell = page.find_element(By.ID, "cell")
    assert cell.text == "✕ gold person, predicted location"
    cell.click()
    assert len(shown(page)) == 8 and not cell.is_displayed()
    for label, post in (
        ("gold O, predicted group", 3),
        ("gold person, predicted O", 2),
    ):
        find = f"[aria-label^='1: {label}']"
        page.find_element(By.CSS_SELECTOR, find).click()
        WebDriverWait(page, 10).until(lambda page, post=post: shown(page) == [post])


def test_page_is_usable_with_the_keyboard(open_page):
    page = open_page("one")

    def press(*keys):
        page.switch_to.active_element.send_keys(*keys)

    def tab_to(is_there, most=60):
        for _ in range(most):
            press(Keys.TAB)
            if is_there(page.switch_to.active_element):
                # The focus is visible.
                outline = page.switch_to.active_element.value_of_css_property("outline")
                assert "none" not in outline
                return
        raise AssertionError("the element is not reachable with Tab")

    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the posts"
    tab_to(lambda element: element.get_attribute("id") == "theme")
    press(Keys.ENTER)
    assert page.switch_to.active_element.text == "Theme: light"
    tab_to(lambda element: element.get_attribute("id") == "threshold")
    press(Keys.ARROW_RIGHT * 60)
    assert page.find_element(By.CSS_SELECTOR, "output").text == "0.60"
    tab_to(lambda element: element.get_attribute("value") == "right")
    press(Keys.SPACE)
    assert shown(page) == [2, 3, 4, 5, 6, 7]
    tab_to(lambda element: element.get_attribute("name") == "words")
    press("left")
    assert shown(page) == [2, 3]
    tab_to(lambda element: element.get_attribute("name") == "sort")
    press(Keys.ARROW_DOWN)
    assert shown(page) == [3, 2]


def test_slider_shows_scores_at_a_threshold(open_page):
    page = open_page("one")
    slider = page.find_element(By.ID, "threshold")
    scores = page.find_element(By.ID, "at-threshold")
    # 2 of 5 predicted entities are right, and there are 5 gold entities. At 0.7, 3
    # predicted entities remain, with the same 2 right ones.
    assert scores.text == "Precision 40.0, Recall 40.0, F1 40.0"
    slider.send_keys(Keys.ARROW_RIGHT * 70)
    assert scores.text == "Precision 66.7, Recall 40.0, F1 50.0"
    assert slider.get_attribute("aria-valuetext") == f"0.70. {scores.text}"
    slider.send_keys(Keys.END)
    assert scores.text == "Precision 0.0, Recall 0.0, F1 0.0"


def test_figures_are_those_of_the_data(open_page):
    page = open_page("one")
    cards = page.find_element(By.CLASS_NAME, "cards").text.split("\n")
    assert cards[:6] == [
        *("Entity F1", "40.0", "Entity precision", "40.0", "Entity recall", "40.0")
    ]
    types = page.find_element(By.CSS_SELECTOR, "#types table").text.split("\n")
    assert types[-1] == "person 3 1 1 100.0 33.3 50.0 1 1 0 0"
    seen = page.find_element(By.CSS_SELECTOR, "#seen table").text.split("\n")
    assert seen[-2:] == ["Seen in training 1 100.0 100.0 100.0", "New 4 25.0 25.0 25.0"]
    drawn = page.find_elements(By.CSS_SELECTOR, "#confidence svg[role=img]")
    assert [chart.accessible_name for chart in drawn] == [
        "Precision, recall and F1 by threshold",
        "Reliability: share of right entities by confidence",
    ]
    assert len(drawn[1].find_elements(By.CSS_SELECTOR, "circle")) == 5


def test_two_pipelines_are_compared(open_page):
    page = open_page("two")
    assert rows(page, 1) == [
        ("A, right", "Oslolocation 0.90 is cold"),
        ("B", "Oslomissed location is cold"),
    ]
    assert [who for who, _ in rows(page, 4)] == ["Gold", "A", "B"]
    choose(page, "compare", "A all right, B not")
    assert shown(page) == [1, 8]
    choose(page, "compare", "B all right, A not")
    assert shown(page) == [2, 3]
    choose(page, "compare", "A and B differ")
    assert shown(page) == [1, 2, 3, 4, 5, 8]
    choose(page, "compare", "All posts")
    only(page, "kind", "missed")
    assert shown(page) == [2]
    choose(page, "run", "Pipeline B")
    assert shown(page) == [1, 4, 5, 8]
    # A cell of B's confusion matrix filters by B.
    label = "[aria-label^='2: gold location, predicted O']"
    page.find_element(By.CSS_SELECTOR, label).click()
    WebDriverWait(page, 10).until(lambda page: shown(page) == [1, 5])


def test_pipeline_without_confidences_has_no_charts(open_page):
    page = open_page("bare")
    text = page.find_element(By.ID, "confidence").text
    assert "has no confidences, so there are no charts" in text
    assert page.find_elements(By.CSS_SELECTOR, "#confidence svg") == []
    assert "--train" in page.find_element(By.ID, "seen").text
    assert rows(page, 1) == [("Right", "Oslolocation is cold")]
    options = Select(page.find_element(By.NAME, "sort")).options
    assert [option.is_enabled() for option in options] == [True, False, False]


def test_report_without_entities(open_page):
    page = open_page("empty")
    assert rows(page, 1) == [("Right", "none")]
    assert page.find_element(By.CLASS_NAME, "cards").text.startswith("Entity F1\n0.0\n")


def test_posts_are_added_while_scrolling(open_page):
    page = open_page("many")
    assert status(page) == "1,600 of 1,600 posts"
    assert len(shown(page)) < 200
    n_before = len(shown(page))
    page.execute_script("scrollTo(0, document.body.scrollHeight)")
    WebDriverWait(page, 10).until(lambda page: len(shown(page)) > n_before)
    more = page.find_element(By.ID, "more")
    # All posts, in order and without duplicates.
    page.execute_script(
        "while (!arguments[0].hidden) arguments[0].click()",
        more,
    )
    assert shown(page) == list(range(1, 1601))
    only(page, "kind", "missed")
    assert status(page) == "200 of 1,600 posts"


@pytest.mark.parametrize("name", ["one", "two"])
def test_page_fits_a_phone(open_page, name):
    page = open_page(name, width=390)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    # Touch targets.
    for element in page.find_elements(By.CSS_SELECTOR, "form button, select"):
        if element.is_displayed():
            assert element.size["height"] >= 40


def test_theme_follows_the_system_or_the_button(open_page):
    def back(page):
        return page.find_element(By.TAG_NAME, "body").value_of_css_property(
            "background-color"
        )

    light = back(open_page("one"))
    page = open_page("one", scheme="dark")
    dark = back(page)
    assert light == "rgba(255, 255, 255, 1)" != dark
    theme = page.find_element(By.ID, "theme")
    seen = []
    for _ in range(3):
        theme.click()
        seen.append((theme.text, back(page)))
    assert seen == [
        ("Theme: light", light),
        ("Theme: dark", dark),
        ("Theme: system", dark),
    ]


@pytest.mark.parametrize("name", ["one", "two"])
def test_all_controls_have_accessible_names(open_page, name):
    page = open_page(name)
    controls = page.find_elements(
        By.CSS_SELECTOR, "a, button, input, select, [tabindex='0'], section"
    )
    assert len(controls) > 25
    for element in controls:
        if element.is_displayed():
            assert element.accessible_name.strip(), element.get_attribute("outerHTML")
