"""DocBin files: the number of their posts."""

from functools import lru_cache
from pathlib import Path

from spacy.tokens import DocBin
from spacy.training.corpus import FILE_TYPE, walk_corpus

from ..errors import WnutError
from .formats.spacy_docbin import reading_docbin


def count_posts(corpus: Path) -> int:
    """Count the posts that `spacy.Corpus.v1` reads: the docs with at least one word.

    corpus (Path): A DocBin file, or a folder that is searched for DocBin files, with the
        suffix .spacy.
    RETURNS (int): The number of posts, at least 1.

    Raises WnutError if there is no such file or folder, if a file is not a DocBin, or if
    there are no posts.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy.tokens import Doc, DocBin
        >>> from spacy.vocab import Vocab
        >>> from spacy_wnut.corpus.docbin import count_posts
        >>> docs = [Doc(Vocab(), words=words) for words in (["lol"], [], ["in", "Oslo"])]
        >>> with TemporaryDirectory() as folder:
        ...     DocBin(docs=docs).to_disk(Path(folder) / "train.spacy")
        ...     count_posts(Path(folder))
        2
    """
    if not corpus.exists():
        raise WnutError(
            f"there is no file or folder {corpus}: make it with `spacy-wnut convert`"
        )
    # Without files, spaCy warns instead.
    if not corpus.is_dir() and not corpus.name.endswith(FILE_TYPE):
        raise WnutError(
            f"{corpus} is no corpus: give a .spacy file, as `spacy-wnut convert` writes "
            "it, or a folder of such files"
        )
    n_posts = 0
    for path in walk_corpus(corpus, FILE_TYPE):
        with reading_docbin(path):
            stat = path.stat()
            n_posts += _count_docs(path, stat.st_mtime_ns, stat.st_size)
    if not n_posts:
        raise WnutError(
            f"{corpus} holds no posts: make it with `spacy-wnut convert` from a file with "
            "posts"
        )
    return n_posts


# Several settings of a config count the same file.
@lru_cache(maxsize=64)
def _count_docs(path: Path, modified: int, size: int) -> int:
    """Count the docs with words in a file, without creating them."""
    return sum(len(words) > 0 for words in DocBin().from_disk(path).tokens)
