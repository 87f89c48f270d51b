"""Upload of pipelines and checkpoints to the hub."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from ..errors import WnutError
from ..packaging.wheels import find_wheels

INSTALL = """\
## Installation

```bash
pip install {wheels}
```

"""
# The section of the model card that follows.
USE = "## Use\n"


class Pushed(NamedTuple):
    """A pipeline on the hub.

    url (str): The page of the repository.
    wheels (Tuple[str, ...]): The addresses of the wheels of spacy-wnut and of the
        pipeline, for one `pip install`.
    """

    url: str
    wheels: tuple[str, ...]


def push_pipeline(
    wheels_dir: Path, name: str, repo: str | None = None, private: bool = False
) -> Pushed:
    """Upload the newest wheels of a pipeline and of spacy-wnut to the hub.

    The repository has the layout of spacy-huggingface-hub, which the hub expects of spaCy
    pipelines: the files of the pipeline, the model card README.md, and the wheel as
    PACKAGE-any-py3-none-any.whl. pip 24.1 and later refuse the version "any", so the wheel
    has its own name there, too.

    wheels_dir (Path): The folder with the wheels.
    name (str): The name of the pipeline's package.
    repo (Optional[str]): The repository, as USER/NAME. It is created if necessary. By
        default it belongs to the user who is logged in and has the name of the package.
    private (bool): Whether a new repository is private.
    RETURNS (Pushed): The repository.

    Raises WnutError if there are no wheels, if the wheel holds no pipeline, or if the hub
    refuses the upload or cannot be reached.
    """
    pipeline, plugin = find_wheels(wheels_dir, name)
    with TemporaryDirectory() as scratch:
        package = pipeline.name.partition("-")[0]
        folder = Path(scratch) / package
        _unpack(pipeline, folder)
        for wheel in (pipeline, plugin):
            shutil.copy(wheel, folder)
        shutil.copy(pipeline, folder / f"{package}-any-py3-none-any.whl")
        repo = repo or f"{_user_name()}/{package}"
        url = f"{_endpoint()}/{repo}"
        pushed = Pushed(
            url,
            tuple(f"{url}/resolve/main/{path.name}" for path in (plugin, pipeline)),
        )
        card = folder / "README.md"
        install = INSTALL.format(wheels=" ".join(pushed.wheels))
        text = card.read_text(encoding="utf8").replace(USE, install + USE, 1)
        card.write_text(text, encoding="utf8")
        try:
            push_folder(folder, repo, private)
        except WnutError as err:
            raise WnutError(f"{pipeline} {err}") from err
    return pushed


def push_folder(folder: Path, repo: str, private: bool = False) -> None:
    """Upload a folder to the hub. The repository is created if necessary.

    folder (Path): The folder.
    repo (str): The repository, as USER/NAME.
    private (bool): Whether a new repository is private.

    Raises WnutError if the hub refuses it or cannot be reached. The message is a
    predicate: "couldn't be shared as ...".
    """
    import huggingface_hub

    with _reporting(f"couldn't be shared as {repo!r}"):
        huggingface_hub.create_repo(repo, exist_ok=True, private=private)
        huggingface_hub.upload_folder(repo_id=repo, folder_path=folder)


def _user_name() -> str:
    import huggingface_hub

    with _reporting("the hub doesn't know the user"):
        return str(huggingface_hub.whoami()["name"])


def _endpoint() -> str:
    from huggingface_hub.constants import ENDPOINT

    return ENDPOINT


@contextmanager
def _reporting(problem: str) -> Iterator[None]:
    """Raise WnutError for an error of the hub."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    # OSError is also raised for a missing token.
    except (HfHubHTTPError, HFValidationError, OSError) as err:
        raise WnutError(
            f"{problem}: {err}. Log in with `huggingface-cli login`, and name a "
            "repository as USER/NAME"
        ) from err


def _unpack(wheel: Path, folder: Path) -> None:
    """Write the files of the pipeline in a wheel to a folder."""
    try:
        with ZipFile(wheel) as archive, TemporaryDirectory() as scratch:
            # `spacy package` writes PACKAGE/PACKAGE-VERSION/meta.json.
            roots = [
                meta.parent
                for meta in map(PurePosixPath, archive.namelist())
                if meta.name == "meta.json" and len(meta.parts) == 3
            ]
            if len(roots) != 1 or f"{roots[0]}/README.md" not in archive.namelist():
                raise WnutError(
                    f"{wheel} is no wheel of a pipeline with a model card: build it "
                    "with `spacy-wnut package`"
                )
            archive.extractall(scratch)
            shutil.move(Path(scratch, *roots[0].parts), folder)
    except (BadZipFile, OSError) as err:
        raise WnutError(f"{wheel} can't be read: {err}. Build it anew") from err
