import os
import sys
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..inputs import check_inputs
from ._app import SOME_REJECTED, GpuId, Model, TagColumn, TokenColumn, app


class Engine(str, Enum):
    local = "local"
    ray = "ray"


class Offsets(str, Enum):
    codepoints = "codepoints"
    utf16 = "utf16"


class Escapes(str, Enum):
    html = "html"


@app.command("annotate")
def annotate_cli(
    model: Model,
    input_: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="File of posts: .jsonl, .csv, .tsv, .parquet, .txt (one post per line), "
            ".conll; may be compressed (.gz, .bz2, .xz, .zst, .lz4). - for standard "
            "input",
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT",
            help="File to write: .jsonl, .parquet, .spacy (DocBin), .conll; .jsonl and "
            ".conll may be compressed. - for standard output",
        ),
    ],
    text_field: Annotated[
        str,
        typer.Option(
            "--text-field",
            help="Field or column of the text. In .jsonl and .parquet also the path to a "
            "nested one: data.text",
        ),
    ] = "text",
    entities_field: Annotated[
        str, typer.Option("--entities-field", help="Field or column for the entities")
    ] = "entities",
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Entity types to keep, separated by commas"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="Least confidence of an entity. Default: the threshold of the pipeline",
        ),
    ] = None,
    n_process: Annotated[
        int | None,
        typer.Option(
            "--n-process",
            help="Processes (local: 1) or actors (ray: as many as there are CPUs)",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", help="Posts per batch. Default: that of the pipeline"
        ),
    ] = None,
    chunk_size: Annotated[
        int,
        typer.Option("--chunk-size", help="Posts per checkpoint for --resume"),
    ] = 1000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace OUTPUT and OUTPUT.rejected.jsonl"),
    ] = False,
    input_format: Annotated[
        str | None,
        typer.Option("--input-format", help="Format of INPUT. Default: by its suffix"),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--output-format",
            help="Format of OUTPUT: jsonl, parquet, docbin, conll, or that of an "
            "annotation tool: doccano, label-studio, prodigy. Default: by its suffix",
        ),
    ] = None,
    offsets: Annotated[
        Offsets,
        typer.Option(
            "--offsets",
            help="Unit of the offsets: code points, as in Python, or UTF-16 code units, "
            "as in JavaScript",
        ),
    ] = Offsets.codepoints,
    unescape: Annotated[
        Escapes | None,
        typer.Option(
            "--unescape",
            help="Escapes to replace before annotation, such as &amp; in posts from "
            "Twitter's API. Offsets refer to the original text",
        ),
    ] = None,
    only_doubtful: Annotated[
        str | None,
        typer.Option(
            "--only-doubtful",
            metavar="LOW,HIGH",
            help="Write only posts that have an entity with a confidence from LOW to "
            "HIGH, as 0.3,0.7",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            help="Delimiter of the columns of .csv (default: a comma) and .tsv",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", help="Encoding of INPUT. Default: UTF-8"),
    ] = None,
    token_column: TokenColumn = None,
    tag_column: TagColumn = None,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            help="This machine, or a Ray cluster, which reads a file or folder of .jsonl or "
            ".parquet and writes a folder of .parquet",
        ),
    ] = Engine.local,
    gpu_id: GpuId = -1,
) -> None:
    """Annotate files of posts with entities.

    Posts that cannot be read or processed are written to OUTPUT.rejected.jsonl with the
    reason, and the exit status is 3. If all posts are rejected for the same reason, the
    command stops with status 1. After an interruption, the same command with --resume
    continues.
    """
    from ..bulk.formats.registry import is_stream
    from ..bulk.local import Job, Summary, annotate_file
    from ..bulk.settings import Settings, parse_interval
    from ..corpus.layout import Columns
    from ..errors import WnutError

    if resume and overwrite:
        raise WnutError(
            "--resume keeps the files of an earlier run and --overwrite replaces them: give "
            "one of them"
        )
    settings = Settings(
        model,
        text_field,
        entities_field,
        threshold,
        None if labels is None else tuple(labels.split(",")),
        batch_size,
        gpu_id,
        offsets.value,
        unescape is not None,
        None if only_doubtful is None else parse_interval(only_doubtful),
    )
    summary: Summary | None
    if engine is Engine.ray:
        if token_column is not None or tag_column is not None:
            raise WnutError(
                "--engine ray reads no CoNLL, whose columns --token-column and "
                "--tag-column name: leave both out"
            )
        if resume:
            raise WnutError("--engine ray has no --resume: begin anew with --overwrite")
        for option, value in (
            ("--input-format", input_format),
            ("--output-format", output_format),
            ("--delimiter", delimiter),
            ("--encoding", encoding),
        ):
            if value is not None:
                raise WnutError(
                    f"--engine ray has no {option}: it reads .jsonl in UTF-8 or "
                    ".parquet, and writes .parquet. Leave it out, or use the local "
                    "engine"
                )
        check_inputs([model])
        from ..bulk.ray_engine import RayJob, annotate_with_ray

        summary = annotate_with_ray(
            RayJob(settings, input_, output, n_process, chunk_size, overwrite)
        )
    else:
        job = Job(
            settings,
            input_,
            output,
            input_format,
            output_format,
            1 if n_process is None else n_process,
            chunk_size,
            resume,
            overwrite,
            delimiter,
            encoding,
            Columns(token_column, tag_column),
        )
        try:
            summary = annotate_file(job)
        except (KeyboardInterrupt, OSError) as err:
            _end(output, err)
    # A string, not a Path: the output of Ray may be s3://lake/entities/.
    rejected = f"{output.rstrip('/')}.rejected.jsonl"
    # Standard output may be the output file.
    with redirect_stdout(sys.stderr):
        if summary is None:
            msg.info(f"{output} is complete already: there is nothing to resume")
            if Path(rejected).exists():
                msg.warn(f"Some posts were rejected: {rejected}")
                raise typer.Exit(SOME_REJECTED)
            return
        done = summary.read - summary.resumed
        rate = f" ({done / summary.seconds:,.1f} a second)" if done else ""
        if only_doubtful is None:
            msg.good(f"{summary.annotated:,} posts annotated{rate}: {output}")
        else:
            msg.good(f"{summary.annotated:,} posts selected{rate}: {output}")
            msg.text(
                f"{summary.unselected:,} posts not selected: no entity with a confidence "
                f"in {only_doubtful}"
            )
        if summary.note:
            msg.warn(summary.note)
        if summary.nulls:
            msg.warn(
                f"{summary.nulls:,} numbers were written as null: JSON has no NaN, no "
                "infinity, and no number as large"
            )
        if summary.rejected:
            where = "above" if is_stream(output) else rejected
            msg.warn(f"{summary.rejected:,} posts rejected: {where}")
            for reason, count in summary.reasons:
                msg.text(f"  {count:,} × {reason}")
            if summary.hint:
                msg.text(f"If the posts themselves are right: {summary.hint}")
            raise typer.Exit(SOME_REJECTED)


def _end(output: str, err: BaseException) -> None:
    from ..bulk.journal import JOURNAL, partial_path

    if isinstance(err, BrokenPipeError):
        # The reader of standard output has closed it. Python would print the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1)
    kept = (partial_path(Path(output)) / JOURNAL).exists()
    hint = ". The same command with --resume continues from there" if kept else ""
    with redirect_stdout(sys.stderr):
        if isinstance(err, KeyboardInterrupt):
            msg.fail(f"Interrupted{hint}")
            raise typer.Exit(130)
        msg.fail(f"{err}{hint}")
    raise typer.Exit(1)
