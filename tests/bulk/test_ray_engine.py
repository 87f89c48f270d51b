"""A local Ray with two actors does what the local engine does."""

import bz2
import gzip
import json
import lzma
import os
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_wnut.bulk.ray_engine import RayJob, annotate_with_ray
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.errors import WnutError

from .conftest import make_posts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """A Ray on this machine with a CPU for each of two actors and one for the rest."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        # It would leave a token in the home of whoever runs the tests.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        options = {
            "num_cpus": 3,
            "object_store_memory": 100 * 2**20,
            "include_dashboard": False,
            "log_to_driver": False,
            # Names of sockets may not be long.
            "_temp_dir": str(tmp_path_factory.mktemp("ray")),
        }
        try:
            ray.init(**options)
        except Exception:
            # It waits for itself for half a minute, which a busy machine may take.
            ray.shutdown()
            ray.init(**options)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
        ray.shutdown()


def run(model, source, target, **options):
    return annotate_with_ray(
        RayJob(Settings(model), str(source), str(target), 2, 20, **options)
    )


def rows_of(path):
    """The rows of a file or a folder, in an order that doesn't depend on how it was
    written.
    """
    rows = pq.read_table(path).to_pylist()
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def rejected_of(path, forget=()):
    lines = path.with_name(f"{path.name}.rejected.jsonl").read_text().splitlines()
    rejected = map(json.loads, lines)
    return sorted(
        json.dumps({k: v for k, v in one.items() if k not in forget})
        for one in rejected
    )


def test_tables_as_the_local_engine_has_them(ray, ruler, tmp_path, annotate):
    source = tmp_path / "in"
    source.mkdir()
    texts = [f"Ada Lovelace met user{i} in Oslo" if i % 7 else None for i in range(90)]
    table = pa.table({"id": range(90), "text": texts, "when": [datetime.now()] * 90})
    for part in range(3):
        pq.write_table(table.slice(part * 30, 30), source / f"{part}.parquet")
    pq.write_table(table, tmp_path / "all.parquet")
    annotate(ruler, tmp_path / "all.parquet", tmp_path / "local.parquet")
    summary = run(ruler, source, tmp_path / "ray")
    assert (summary.read, summary.rejected) == (90, 13)
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")
    forget = ["file", "line"]
    assert rejected_of(tmp_path / "ray", forget) == rejected_of(
        tmp_path / "local.parquet", forget
    )
    assert (tmp_path / "ray" / "_SUCCESS").exists()
    # An output is not written to twice.
    with pytest.raises(WnutError, match=r"isn't empty: .*--overwrite"):
        run(ruler, source, tmp_path / "ray")


def test_files_as_the_local_engine_reads_them(ray, ruler, tmp_path, annotate):
    """Compressed files, columns of views, and what is wrong with a file."""
    source = tmp_path / "in"
    source.mkdir()
    lines = ("\n".join(make_posts(60)) + "\n").encode("utf8")
    (source / "a.jsonl.xz").write_bytes(lzma.compress(lines))
    (source / "b.jsonl.bz2").write_bytes(bz2.compress(lines))
    (tmp_path / "all.jsonl").write_bytes(lines * 2)
    annotate(ruler, tmp_path / "all.jsonl", tmp_path / "local.parquet")
    summary = run(ruler, source, tmp_path / "ray")
    assert (summary.read, summary.rejected) == (120, 10)
    assert summary.reasons and summary.reasons[0][1] > 1
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")

    texts = pa.array(["in Oslo", None, "é"], type=pa.string_view())
    pq.write_table(pa.table({"text": texts, "more": texts}), tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "local2.parquet")
    run(ruler, tmp_path / "a.parquet", tmp_path / "ray2")
    assert rows_of(tmp_path / "ray2") == rows_of(tmp_path / "local2.parquet")

    (source / "b.jsonl.bz2").write_bytes(bz2.compress(lines)[:-9])
    with pytest.raises(
        WnutError, match=r"b.jsonl.bz2 can't be read to its end"
    ) as raised:
        run(ruler, source, tmp_path / "ray3")
    assert "Traceback" not in str(raised.value)
    assert not (tmp_path / "ray3" / "_SUCCESS").exists()


def test_an_input_without_texts_is_refused_at_once(ruler, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "body": "a"}\n' * 3)
    pq.write_table(
        pa.table({"text": pa.array([None], type=pa.string())}), tmp_path / "a.parquet"
    )
    for name, message in (("a.jsonl", "'id', 'body'"), ("a.parquet", "missing")):
        with pytest.raises(WnutError, match=message):
            run(ruler, tmp_path / name, tmp_path / "ray")
    assert not (tmp_path / "ray").exists()


def test_an_actor_that_dies_loses_and_doubles_nothing(
    ray, ruler, tmp_path, annotate, monkeypatch
):
    source = tmp_path / "posts.jsonl.gz"
    lines = "\n\n".join(make_posts(300)).encode("utf8")
    source.write_bytes(gzip.compress(lines))
    annotate(ruler, source, tmp_path / "local.parquet")
    monkeypatch.setattr(
        "spacy_wnut.bulk.ray_engine.RayAnnotator", dying(tmp_path, [50, 250])
    )
    summary = run(ruler, source, tmp_path / "ray")
    assert sorted(path.name for path in tmp_path.glob("*.died")) == [
        "250.died",
        "50.died",
    ]
    assert (summary.read, summary.rejected) == (300, 27)
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")
    # The same lines of the file, too.
    assert rejected_of(tmp_path / "ray", ["file"]) == rejected_of(
        tmp_path / "local.parquet"
    )


def dying(folder, ids):
    """An annotator whose process ends, once each, when it has done certain posts."""
    from spacy_wnut.bulk.ray_engine import RAW, RayAnnotator

    # Defined in here: the actors can't import this file.
    class Dying(RayAnnotator):
        def __call__(self, rows):
            done = super().__call__(rows)
            for line in rows.column(RAW).to_pylist():
                for id_ in ids:
                    mark = folder / f"{id_}.died"
                    if line.startswith(b'{"id": %d,' % id_) and not mark.exists():
                        mark.touch()
                        os._exit(1)
            return done

    return Dying
