"""The application in docs/deployment.md, and the benchmark that measures it.

The exported pipeline is served by uvicorn in a process of its own. The one with torch
runs in this process: requests take the same way through FastAPI and its pool of threads.
"""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import httpx
import pytest
import spacy
from typer.testing import CliRunner

from benchmarks.speed import service
from spacy_wnut.errors import WnutError

pytestmark = pytest.mark.slow

# Of various lengths, from no word to several windows.
TEXTS = [
    "Pretty bad storm in New York last evening.",
    "",
    "Ada Lovelace moved to Oslo",
    " \n ",
    "nothing to see here",
    "lol Grace Hopper and Alan Turing are in London " * 40,
    "@ada_l #London 😀 https://x.io/?q=1 Alan Turing!!!",
    "\u202eolsO ni\u202c مرحبا London 👩‍👩‍👧‍👦 שלום",
    "Oslo\x00 in \x1b[31m \ufeffLondon\u200b",
]
N_CONCURRENT = 8


def find_entities(folder):
    """The response to each text, from the pipeline itself."""
    nlp = spacy.load(folder)
    return [
        [
            {
                "text": ent.text,
                "label": ent.label_,
                "start": ent.start_char,
                "end": ent.end_char,
                "confidence": ent._.confidence,
            }
            for ent in nlp(text).ents
        ]
        for text in TEXTS
    ]


@pytest.fixture(scope="module")
def expected(onnx_folder):
    return find_entities(onnx_folder)


@pytest.fixture(scope="module")
def server(onnx_folder, tmp_path_factory):
    here = tmp_path_factory.mktemp("service")
    with service.serve(str(onnx_folder), here) as running:
        yield running
    assert not running.process.is_running()
    log = (here / "log.txt").read_text(encoding="utf8")
    assert "Application shutdown complete" in log
    # No request of the tests made the application fail.
    assert "ERROR" not in log and "Traceback" not in log


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def run_page(monkeypatch, pipeline):
    """Run the page's application in this process: its transport for httpx."""
    monkeypatch.setenv("PIPELINE", pipeline)
    namespace = {"__name__": "service"}
    exec(compile(service.read_application(), "service", "exec"), namespace)
    return httpx.ASGITransport(namespace["app"])


def post(client, texts):
    response = client.post("/entities", json={"texts": texts})
    assert response.status_code == 200, response.text
    return response.json()


def test_entities_are_those_of_the_pipeline(client, expected):
    assert sum(map(len, expected)) > 10
    assert service.is_same(post(client, TEXTS), expected)
    for text, entities in zip(TEXTS, expected, strict=True):
        [found] = post(client, [text])
        assert service.is_same([found], [entities])
        assert [text[ent["start"] : ent["end"]] for ent in found] == [
            ent["text"] for ent in found
        ]


def test_no_text_is_no_entities(client):
    assert post(client, []) == []


def test_concurrent_requests_find_the_same(server, expected):
    def send(thread):
        """Single texts, and all texts in an order of its own."""
        order = [(i + thread) % len(TEXTS) for i in range(len(TEXTS))]
        with httpx.Client(base_url=server.url, timeout=60) as client:
            singles = [post(client, [TEXTS[k]]) for k in order[:3]]
            batch = post(client, [TEXTS[k] for k in order])
        return service.is_same(
            [*singles, batch],
            [*([expected[k]] for k in order[:3]), [expected[k] for k in order]],
        )

    with ThreadPoolExecutor(N_CONCURRENT) as pool:
        assert all(pool.map(send, range(N_CONCURRENT)))


def test_concurrent_requests_with_torch(whole_folder, monkeypatch):
    expected = find_entities(whole_folder)
    transport = run_page(monkeypatch, str(whole_folder))

    async def ask():
        client = httpx.AsyncClient(transport=transport, base_url="http://x")
        async with client:
            return await asyncio.gather(
                *(
                    client.post("/entities", json={"texts": TEXTS[i:] + TEXTS[:i]})
                    for i in range(N_CONCURRENT)
                )
            )

    for i, response in enumerate(asyncio.run(ask())):
        assert service.is_same(response.json(), expected[i:] + expected[:i])


def test_health(client):
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_texts_up_to_the_limits_are_accepted(client):
    assert len(post(client, ["a " * 2_500])) == 1
    assert post(client, [""] * 64) == [[]] * 64


@pytest.mark.parametrize(
    "content, status, where",
    [
        (json.dumps({"texts": ["Oslo", "a" * 5_001]}), 422, ["body", "texts", 1]),
        (json.dumps({"texts": ["a"] * 65}), 422, ["body", "texts"]),
        (json.dumps({"texts": "Oslo"}), 422, ["body", "texts"]),
        (json.dumps({"texts": ["Oslo", 1]}), 422, ["body", "texts", 1]),
        (json.dumps({"texts": [None]}), 422, ["body", "texts", 0]),
        (json.dumps({"texts": None}), 422, ["body", "texts"]),
        (json.dumps({"text": "Oslo"}), 422, ["body", "texts"]),
        (json.dumps(["Oslo"]), 422, ["body"]),
        # Valid for Python's JSON parser, but not encodable in a response.
        (r'{"texts": ["\ud800"]}', 422, ["body", "texts", 0]),
        (r'{"texts": ["Oslo \udc00\ud83d"]}', 422, ["body", "texts", 0]),
        (r'{"texts": {"\ud800": 1}}', 422, ["body", "texts"]),
        ('{"texts": [NaN]}', 422, ["body", "texts", 0]),
        ('{"texts": 1e999}', 422, ["body", "texts"]),
        ('{"texts": ["Oslo"', 422, ["body", 17]),
        ("", 422, ["body"]),
        (b'{"texts": ["\xff"]}', 400, None),
        ("[" * 100_000, 400, None),
    ],
)
def test_invalid_requests_are_refused_with_the_location(client, content, status, where):
    headers = {"content-type": "application/json"}
    response = client.post("/entities", content=content, headers=headers)
    assert response.status_code == status
    if where is not None:
        [problem] = response.json()["detail"]
        assert problem["loc"] == where and problem["msg"]
    # The input, which may be long, is not repeated.
    assert len(response.content) < 200


def test_health_answers_while_all_threads_are_busy(monkeypatch):
    """With a pipeline that waits for an event."""
    started, go_on = threading.Semaphore(0), threading.Event()

    def wait(texts):
        started.release()
        assert go_on.wait(60)
        return []

    monkeypatch.setattr(spacy, "load", lambda name: SimpleNamespace(pipe=wait))
    transport = run_page(monkeypatch, "waits")
    # The number of threads in the pool.
    n_busy = 40

    async def ask():
        client = httpx.AsyncClient(transport=transport, base_url="http://x")
        async with client:
            busy = [
                asyncio.create_task(client.post("/entities", json={"texts": []}))
                for _ in range(n_busy)
            ]
            for _ in range(n_busy):
                while not started.acquire(blocking=False):
                    await asyncio.sleep(0.001)
            try:
                health = await asyncio.wait_for(client.get("/health"), 30)
                assert not any(task.done() for task in busy)
            finally:
                go_on.set()
            return [health, *await asyncio.gather(*busy)]

    assert [response.status_code for response in asyncio.run(ask())] == [200] * 41


def test_missing_pipeline_is_named(monkeypatch):
    with pytest.raises(OSError, match="no_such_pipeline"):
        run_page(monkeypatch, "no_such_pipeline")


def test_application_that_fails_on_import_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "read_application", lambda: "raise OSError('E050')")
    with pytest.raises(WnutError, match="did not start: OSError: E050"):
        with service.serve("m", tmp_path):
            pass


@pytest.mark.parametrize("n", [0, 2])
def test_a_page_has_one_application(tmp_path, n):
    page = tmp_path / "page.md"
    page.write_text("```python\napp = FastAPI()\n```\n" * n, encoding="utf8")
    with pytest.raises(WnutError, match=f"has {n} FastAPI"):
        service.read_application(page)


def test_benchmark_measures_the_application(server, onnx_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "serve", lambda model, at: nullcontext(server))
    corpus, out = tmp_path / "posts.conll", tmp_path / "service.json"
    corpus.write_text("Oslo\tB-location\n\nso\tO\n", encoding="utf8")
    options = ["--corpus", str(corpus), "--out", str(out), "--seconds", "0.1"]
    options += ["--connections", "1", "--connections", "4"]
    done = CliRunner().invoke(
        service.app, ["run", str(onnx_folder), *options], catch_exceptions=False
    )
    assert done.exit_code == 0
    results = json.loads(out.read_text(encoding="utf8"))
    assert (results["model"], results["posts"]) == (onnx_folder.name, 2)
    assert [row["connections"] for row in results["runs"]] == [1, 4]
    for row in results["runs"]:
        assert row["errors"] == 0 and row["first_errors"] == []
        assert row["requests"] >= row["connections"]
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
        assert row["memory_mib"] > 50
    # No folders of this machine.
    assert str(onnx_folder.parent) not in out.read_text(encoding="utf8")
    assert service.make_block(results) in done.stdout


def test_wrong_responses_are_errors(server, expected):
    def errors_of(url, posts, expected):
        found = asyncio.run(service.load(url, posts, expected, 1, 0.05))
        assert found
        return {response.error and response.error.split(":")[0] for response in found}

    [right, other] = expected[0], expected[2]
    posts = [TEXTS[0]]
    assert errors_of(server.url, posts, [[right]]) == {None}
    assert errors_of(server.url, posts, [[other]]) == {
        "entities differ from those without load"
    }
    assert errors_of(server.url, ["a" * 5_001], [[[]]]) == {"status 422"}
    assert errors_of("http://127.0.0.1:1", posts, [[right]]) == {"ConnectError"}


@pytest.mark.parametrize(
    "change, same",
    [
        ({}, True),
        ({"confidence": 0.9000001}, True),
        ({"confidence": 0.9001}, False),
        ({"start": 1}, False),
        ({"label": "person"}, False),
        ({"more": 1}, False),
        ({"confidence": None}, False),
    ],
)
def test_responses_are_the_same_up_to_rounding(change, same):
    entity = {"text": "Oslo", "label": "location", "start": 0, "confidence": 0.9}
    assert service.is_same([[{**entity, **change}], []], [[entity], []]) == same
    assert not service.is_same([[entity]], [[entity], []])
    assert not service.is_same({"detail": "no"}, [[entity]])


def test_figures_of_a_run():
    # 1 to 101 ms in shuffled order, so that each quantile is a value.
    responses = [
        service.TimedResponse(
            ((37 * i) % 101 + 1) / 1000, "status 500" if i < 7 else None
        )
        for i in range(101)
    ]
    assert service.summarize(responses, 2.0) == {
        "seconds": 2.0,
        "requests": 101,
        "requests_per_second": 50.5,
        "latency_ms": {"p50": 51.0, "p95": 96.0, "p99": 100.0},
        "errors": 7,
        "first_errors": ["status 500"] * 5,
    }


def test_table_is_written_into_the_page(tmp_path, monkeypatch):
    page, stored = tmp_path / "page.md", tmp_path / "service.json"
    page.write_text(f"a\n<!-- {service.BLOCK} -->\nold\n<!-- end -->\nb\n", "utf8")
    monkeypatch.setattr(service, "PAGE", page)
    monkeypatch.setattr(service, "RESULTS", stored)
    done = CliRunner().invoke(service.app, ["table"])
    assert isinstance(done.exception, WnutError) and str(stored) in str(done.exception)
    run = service.summarize([service.TimedResponse(0.01, None)] * 4000, 20.04)
    results = {
        "model": "onnx-int8",
        "corpus": "train.conll",
        "posts": 120,
        "device": {"name": "A CPU", "cores": 2},
        "memory_at_the_start_mib": 250.2,
        "runs": [{**run, "connections": 8, "memory_mib": 261.7}],
    }
    stored.write_text(json.dumps(results), encoding="utf8")
    CliRunner().invoke(service.app, ["table"], catch_exceptions=False)
    lines = page.read_text(encoding="utf8").splitlines()
    assert lines[2:5] == [
        "| connections | requests/s | p50, ms | p95, ms | p99, ms | requests | errors "
        "| memory at the end, MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| 8 | 200 | 10.0 | 10.0 | 10.0 | 4,000 | 0 | 262 |",
    ]
    assert lines[6] == (
        "A CPU, 2 processors for client and server, 20 s per row; pipeline "
        "`onnx-int8`, 120 posts of `train.conll`. Memory before the first row: 250 MiB."
    )
    assert lines[0] == "a" and lines[-1] == "b"
