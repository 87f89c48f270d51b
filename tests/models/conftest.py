"""The folder of an earlier encoder, which a refused source must leave alone."""

import pytest

from spacy_wnut.errors import WnutError
from spacy_wnut.models.checkpoints import fetch_encoder


@pytest.fixture
def out(tmp_path):
    """Output folder that contains the encoder of an earlier run."""
    folder = tmp_path / "out" / "encoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("earlier")
    return folder


def assert_refused(out, source, message, **options):
    with pytest.raises(WnutError, match=message):
        fetch_encoder(str(source), out, **options)
    assert [path.name for path in out.iterdir()] == ["config.json"]
    assert (out / "config.json").read_text() == "earlier"
    assert list(out.parent.iterdir()) == [out]
