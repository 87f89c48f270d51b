import pytest

from benchmarks.common.pages import write_block
from spacy_wnut.errors import WnutError

BEGIN = "<!-- figures -->"


def test_text_between_the_comments_is_replaced(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(
        f"before\n{BEGIN}\nold\nolder\n<!-- end -->\nafter\n<!-- end -->\n",
        encoding="utf8",
    )
    write_block("figures", "new\n", page)
    assert page.read_text(encoding="utf8") == (
        f"before\n{BEGIN}\nnew\n<!-- end -->\nafter\n<!-- end -->\n"
    )


@pytest.mark.parametrize(
    "text",
    ["nothing\n", f"{BEGIN}\nno end\n", f"{BEGIN}\n<!-- end -->\n{BEGIN}\n"],
    ids=["no begin", "no end", "two"],
)
def test_page_without_the_block_stays_unchanged(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text, encoding="utf8")
    with pytest.raises(WnutError, match="once"):
        write_block("figures", "new\n", page)
    assert page.read_text(encoding="utf8") == text
