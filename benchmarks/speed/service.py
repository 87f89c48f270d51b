"""Requests per second and latency of the FastAPI application in docs/deployment.md.

    python -m benchmarks.speed.service run training/wnut17/onnx-int8
    python -m benchmarks.speed.service table

`run` starts the application with uvicorn in a process of its own and sends posts from
this one, one post per request, over 1, 8, and 32 connections that stay open. A response
that differs from the one to the same post without load counts as an error. It writes
benchmarks/results/service.json, `table` the table in docs/deployment.md. Client and
server share the processors, so run it on an otherwise idle machine.
"""

import asyncio
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import numpy
import psutil  # type: ignore[import-untyped]
import typer
from wasabi import msg

from benchmarks.common.machine import describe_machine, memory_mib
from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results
from benchmarks.common.sample import SAMPLE, read_texts
from spacy_wnut.errors import WnutError

PAGE = ROOT / "docs" / "deployment.md"
RESULTS = FOLDER / "service.json"
BLOCK = "service: python -m benchmarks.speed.service table"
CONNECTIONS = [1, 8, 32]
VERSIONS = ("spacy", "onnxruntime", "fastapi", "uvicorn", "httpx")

# In seconds.
REQUEST_TIMEOUT = 60.0
SHUTDOWN_TIMEOUT = 20

app = make_app(__doc__)


class Server(NamedTuple):
    """A running application."""

    url: str
    process: psutil.Process


class TimedResponse(NamedTuple):
    """Duration of a request, and the `error` if there was one."""

    seconds: float
    error: str | None


@app.command()
def run(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    corpus: Annotated[Path, typer.Option(help="CoNLL file of the posts")] = SAMPLE,
    connections: Annotated[
        list[int], typer.Option(min=1, help="Number of connections; may be repeated")
    ] = CONNECTIONS,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Duration for each number of connections")
    ] = 20.0,
    out: Annotated[Path, typer.Option(help="JSON file to write")] = RESULTS,
) -> None:
    """Measure the application and write the results."""
    posts = read_texts(corpus)
    runs = []
    with tempfile.TemporaryDirectory() as folder, serve(model, Path(folder)) as server:
        expected = asyncio.run(request_all(server.url, posts))
        initial_memory = memory_mib(server.process)
        for n in connections:
            began = time.perf_counter()
            responses = asyncio.run(load(server.url, posts, expected, n, seconds))
            took = time.perf_counter() - began
            row = {"connections": n, **summarize(responses, took)}
            runs.append({**row, "memory_mib": round(memory_mib(server.process), 1)})
            msg.info(json.dumps(runs[-1]))
    results = {
        "model": Path(model).name,
        "corpus": corpus.name,
        "posts": len(posts),
        "device": describe_machine(),
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "memory_at_the_start_mib": round(initial_memory, 1),
        "runs": runs,
    }
    write_results(out, results)
    print(make_block(results))
    if any(row["errors"] for row in runs):
        raise WnutError(f"some requests failed: see first_errors in {out}")


@app.command()
def table() -> None:
    """Write the table in docs/deployment.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), PAGE)


def read_application(page: Path = PAGE) -> str:
    """Read the source of the application from its Python block in a page.

    Raises WnutError unless exactly one block has an application.
    """
    text = page.read_text(encoding="utf8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found = [block for block in blocks if "FastAPI(" in block]
    if len(found) != 1:
        raise WnutError(f"{page} has {len(found)} FastAPI applications, instead of one")
    return str(found[0])


@contextmanager
def serve(model: str, folder: Path) -> Iterator[Server]:
    """Run the application with uvicorn on a free port of the loopback interface.

    model (str): Name of an installed pipeline, or its folder.
    folder (Path): Folder for the application and the server's output, log.txt.
    YIELDS (Server): The server, once it accepts requests.

    Raises WnutError if it ends before it accepts requests.
    """
    (folder / "service.py").write_text(read_application(), encoding="utf8")
    log = folder / "log.txt"
    command = [
        *(sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(folder)),
        *("--host", "127.0.0.1", "--port", "0", "--no-access-log", "--no-use-colors"),
        *("--timeout-graceful-shutdown", str(SHUTDOWN_TIMEOUT)),
    ]
    environment = {**os.environ, "PIPELINE": model}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Server(_wait_for_url(process, log), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    while True:
        is_running = process.poll() is None
        text = log.read_text(encoding="utf8", errors="replace")
        if url := re.search(r"running on (http://[\d.]+:\d+)", text):
            return url[1]
        if not is_running:
            # The last line of the traceback.
            [*_, reason] = ["no output", *text.splitlines()]
            raise WnutError(f"the application did not start: {reason}")
        time.sleep(0.05)


async def request_all(url: str, posts: Sequence[str]) -> list[Any]:
    """Request the entities of each post, one request at a time."""
    expected = []
    async with _connect(url) as client:
        for post in posts:
            response = await client.post("/entities", json={"texts": [post]})
            expected.append(response.raise_for_status().json())
    return expected


async def load(
    url: str,
    posts: Sequence[str],
    expected: Sequence[Any],
    connections: int,
    seconds: float,
) -> list[TimedResponse]:
    """Send posts over several connections, one request at a time on each.

    url (str): The application's address.
    posts (Sequence[str]): Posts, repeated until the time is over.
    expected (Sequence[Any]): The expected response to each post.
    connections (int): Number of connections.
    seconds (float): Time during which new requests are sent.
    RETURNS (List[TimedResponse]): Responses in order of arrival.
    """
    responses: list[TimedResponse] = []
    turns = itertools.count()
    async with AsyncExitStack() as stack:
        # One client per connection: a shared pool takes more time than the requests.
        clients = [
            await stack.enter_async_context(_connect(url)) for _ in range(connections)
        ]
        deadline = time.perf_counter() + seconds

        async def send(client: httpx.AsyncClient) -> None:
            while time.perf_counter() < deadline:
                i = next(turns) % len(posts)
                responses.append(await _request(client, posts[i], expected[i]))

        await asyncio.gather(*map(send, clients))
    return responses


def _connect(url: str) -> httpx.AsyncClient:
    # No TLS: don't load certificates.
    return httpx.AsyncClient(base_url=url, timeout=REQUEST_TIMEOUT, verify=False)


async def _request(
    client: httpx.AsyncClient, post: str, expected: Any
) -> TimedResponse:
    began = time.perf_counter()
    error = None
    try:
        response = await client.post("/entities", json={"texts": [post]})
    except httpx.HTTPError as err:
        error = f"{type(err).__name__}: {err}"
    took = time.perf_counter() - began
    if error is None:
        if response.status_code != 200:
            error = f"status {response.status_code}: {response.text[:200]}"
        elif not is_same(response.json(), expected):
            error = f"entities differ from those without load: {response.text[:200]}"
    return TimedResponse(took, error)


def is_same(found: Any, expected: Any) -> bool:
    """Whether two responses are equal, floats within an absolute tolerance of 1e-5."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            is_same(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(is_same, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, abs_tol=1e-5)
    return bool(found == expected)


def summarize(responses: Sequence[TimedResponse], seconds: float) -> dict[str, Any]:
    """Summarize a run.

    responses (Sequence[TimedResponse]): All responses, including errors.
    seconds (float): Duration of the run.
    RETURNS (Dict[str, Any]): Number of requests, requests per second, quantiles of the
        latency in milliseconds, number of errors, and the first five of them.
    """
    latencies = [1000 * response.seconds for response in responses]
    quantiles = numpy.quantile(latencies, [0.5, 0.95, 0.99]).tolist()
    errors = [response.error for response in responses if response.error]
    return {
        "seconds": round(seconds, 2),
        "requests": len(responses),
        "requests_per_second": round(len(responses) / seconds, 1),
        "latency_ms": {
            name: round(value, 2)
            for name, value in zip(("p50", "p95", "p99"), quantiles, strict=True)
        },
        "errors": len(errors),
        "first_errors": errors[:5],
    }


def make_block(results: dict[str, Any]) -> str:
    """The table of the results, and a note on the machine, pipeline, and posts."""
    header = ["connections", "requests/s", "p50, ms", "p95, ms", "p99, ms"]
    header += ["requests", "errors", "memory at the end, MiB"]
    rows = [
        [
            str(row["connections"]),
            f"{row['requests_per_second']:,.0f}",
            *(f"{row['latency_ms'][name]:,.1f}" for name in ("p50", "p95", "p99")),
            f"{row['requests']:,}",
            f"{row['errors']:,}",
            f"{row['memory_mib']:,.0f}",
        ]
        for row in results["runs"]
    ]
    device = results["device"]
    seconds = " and ".join(
        dict.fromkeys(f"{row['seconds']:.0f}" for row in results["runs"])
    )
    return (
        f"{format_table(header, rows, left=0)}\n"
        f"{device['name']}, {device['cores']} processors for client and server, "
        f"{seconds} s per row; pipeline `{results['model']}`, {results['posts']:,} "
        f"posts of `{results['corpus']}`. Memory before the first row: "
        f"{results['memory_at_the_start_mib']:,.0f} MiB.\n"
    )


if __name__ == "__main__":
    run_app(app)
