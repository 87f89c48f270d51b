import json

import pytest

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import FORMATS, find_format


@pytest.fixture
def read(tmp_path):
    """Write records as JSON Lines, and read them in the format that is found."""

    def read(records, name=None, **options):
        path = tmp_path / "posts.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        found = FORMATS[name] if name else find_format(path)
        return list(found.read(path, ReadOptions(**options)))

    return read
