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


def run(model, source, target, n_actors=1):
    return annotate_with_ray(
        RayJob(Settings(model), str(source), str(target), n_actors, chunk_size=20)
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


def test_columns_of_views(ray, ruler, tmp_path, annotate):
    texts = pa.array(["in Oslo", None, "é"], type=pa.string_view())
    pq.write_table(pa.table({"text": texts, "more": texts}), tmp_path / "a.parquet")
    annotate(ruler, tmp_path / "a.parquet", tmp_path / "local.parquet")
    run(ruler, tmp_path / "a.parquet", tmp_path / "ray")
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")


def test_damaged_file(ray, ruler, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    lines = ("\n".join(make_posts(60)) + "\n").encode("utf8")
    (source / "a.jsonl").write_bytes(lines)
    (source / "b.jsonl.bz2").write_bytes(bz2.compress(lines)[:-9])
    with pytest.raises(
        WnutError, match=r"b.jsonl.bz2 can't be read to its end"
    ) as raised:
        run(ruler, source, tmp_path / "ray")
    assert "Traceback" not in str(raised.value)
    assert not (tmp_path / "ray" / "_SUCCESS").exists()


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
    """Two compressed files give the output of the local engine."""
    source = tmp_path / "in"
    source.mkdir()
    posts = list(make_posts(300))
    (tmp_path / "all.jsonl").write_text("\n\n".join(posts), encoding="utf8")
    parts = ["\n\n".join(part).encode("utf8") for part in (posts[:160], posts[160:])]
    (source / "a.jsonl.gz").write_bytes(gzip.compress(parts[0]))
    (source / "b.jsonl.xz").write_bytes(lzma.compress(parts[1]))
    annotate(ruler, tmp_path / "all.jsonl", tmp_path / "local.parquet")
    monkeypatch.setattr("spacy_wnut.bulk.ray_engine.RayAnnotator", dying(tmp_path, 50))
    summary = run(ruler, source, tmp_path / "ray", n_actors=2)
    assert (tmp_path / "50.died").exists()
    assert (summary.read, summary.rejected) == (300, 27)
    assert summary.reasons and summary.reasons[0][1] > 1
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")
    forget = ["file", "line"]
    assert rejected_of(tmp_path / "ray", forget) == rejected_of(
        tmp_path / "local.parquet", forget
    )
    # Lines are counted in each file.
    rejected = tmp_path / "ray.rejected.jsonl"
    lines = {
        (one["file"].rpartition("/")[2], one["line"])
        for one in map(json.loads, rejected.read_text().splitlines())
    }
    bad = [i for i in range(300) if i % 11 == 7]
    assert lines == {
        ("a.jsonl.gz", 2 * i + 1) if i < 160 else ("b.jsonl.xz", 2 * (i - 160) + 1)
        for i in bad
    }


def dying(folder, id_):
    """An annotator whose process ends once, after the batch of a certain post."""
    from spacy_wnut.bulk.ray_engine import RAW, RayAnnotator

    # Defined in here: the actors can't import this file.
    class Dying(RayAnnotator):
        def __call__(self, rows):
            done = super().__call__(rows)
            mark = folder / f"{id_}.died"
            for line in rows.column(RAW).to_pylist():
                if line.startswith(b'{"id": %d,' % id_) and not mark.exists():
                    mark.touch()
                    os._exit(1)
            return done

    return Dying


def test_nested_and_escaped_texts_of_doubtful_posts(ray, tagger, tmp_path, annotate):
    posts = [
        {"id": i, "data": {"text": f"&lt;🎉 Ada Lovelace {i}" if i % 2 else "nothing"}}
        for i in range(30)
    ]
    source = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(posts), source)
    settings = {
        "text_field": "data.text",
        "offsets": "utf16",
        "unescape": True,
        "only_doubtful": (0.0, 1.0),
    }
    local = annotate(tagger, source, tmp_path / "local.parquet", **settings)
    job = RayJob(Settings(tagger, **settings), str(source), str(tmp_path / "ray"), 1)
    summary = annotate_with_ray(job)
    assert summary.annotated == local.annotated == 15
    assert summary.unselected == local.unselected == 15
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local.parquet")
    [file] = (tmp_path / "ray").glob("*.parquet")
    assert pq.read_schema(file).field("entities").metadata == {b"offsets": b"utf16"}
