"""A headless Chromium, and the data of a report."""

import shutil

import pytest

from spacy_wnut.display.figures import TaggedCorpus, report_data
from spacy_wnut.labels import Entity, entities_to_tags
from spacy_wnut.scoring.measures import ScoredPost

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SCRIPT = "<script>document.title='run'</script><!-- <img src=x onerror=alert(1)>"

# Text, gold entities as (start, end, type) in words, and the entities of pipelines A and
# B with confidences. For A, each post has entities of one kind.
POSTS = [
    ("Oslo is cold", [(0, 1, "location")], [(0, 1, "location", 0.9)], []),
    ("Ann left", [(0, 1, "person")], [], [(0, 1, "person", 0.6)]),
    ("we left early", [], [(0, 1, "group", 0.3)], []),
    ("Paris sings", [(0, 1, "person")], [(0, 1, "location", 0.8)], []),
    ("New York City", [(0, 3, "location")], [(0, 2, "location", 0.5)], []),
    ("nothing here", [], [], []),
    (f"{SCRIPT} {{{{style}}}} & Bob", [], [], []),
    ("😀😀 Zoë 😀 Łódź", [(1, 2, "person")], [(1, 2, "person", 0.7)], []),
]


def _tagged(words, spans):
    return entities_to_tags([Entity(*span[:3]) for span in spans], len(words))


@pytest.fixture(scope="session")
def runs():
    """Two pipelines, A and B, on the same posts."""
    both = []
    for name, column in (("A</title><script>", 2), ("B", 3)):
        posts = []
        for text, gold, *found in POSTS:
            words = [f"{word} " for word in text.split()]
            spans = found[column - 2]
            posts.append(
                ScoredPost(
                    words,
                    _tagged(words, gold),
                    _tagged(words, spans),
                    [confidence for *_, confidence in spans],
                )
            )
        both.append(TaggedCorpus(name, posts))
    return both


@pytest.fixture(scope="session")
def make_data(runs):
    """Create the data of a report on `n_runs` pipelines, with each post repeated."""

    def make(n_runs=1, times=1, has_confidence=True, forms=frozenset({"oslo"})):
        return report_data(
            [
                TaggedCorpus(
                    run.name,
                    [
                        ScoredPost(
                            post.words,
                            post.gold_tags,
                            post.predicted_tags,
                            post.confidences if has_confidence else (),
                        )
                        for post in run.posts
                    ]
                    * times,
                )
                for run in runs[:n_runs]
            ],
            "test.spacy",
            "gold tokens",
            None if forms is None else "train.spacy",
            forms,
        )

    return make


def _which(*names):
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium that logs its requests and errors."""
    chromium = _which("chromium", "chromium-browser", "google-chrome", "chrome")
    driver = _which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip(
            "the report is tested in Chromium, and there is no chromium or no "
            "chromedriver: apt-get install chromium chromium-driver"
        )
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in SWITCHES:
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    # With both paths set, selenium does not search the network for them.
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chrome:
        yield chrome
