"""A model that ONNX Runtime runs, with its tokenizer, as a layer holds them."""

import hashlib
import json
import multiprocessing
import os
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy
import srsly  # type: ignore[import-untyped]
from numpy.typing import NDArray
from thinc.shims.shim import Shim

from ..errors import WnutError
from .wordpieces import Specials

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

# The form of the models that this version writes and reads.
FORMAT = 1
# Where a model says in its metadata what it is.
METADATA_KEY = "spacy_wnut"
NEEDED = {"input_ids", "rows"}
MEAN = {"words", "counts", "carried"}
INSTALL = 'pip install "spacy-wnut[onnx]"'


class Started(NamedTuple):
    """What runs a model in one process. Threads may share it.

    session (InferenceSession): Runs the model.
    tokenizer (Tokenizer): The tokenizer, without truncation and padding.
    specials (Specials): The special tokens around each text.
    about (Dict[str, Any]): What the model says of itself.
    """

    session: "InferenceSession"
    tokenizer: "Tokenizer"
    specials: Specials
    about: dict[str, Any]


class OnnxShim(Shim):
    """A model and its tokenizer. The session starts lazily, once per process, and
    threads may share it.

    threads (int): How many threads run the model. 0 stands for as many as there are
        processors to run on, or one where the process is a worker of another.
    """

    def __init__(self, threads: int = 0) -> None:
        super().__init__(None)
        self.threads = threads
        self.graph = b""
        self.tokenizer_json = ""
        self._started: Started | None = None
        self._starting = Lock()
        _SHIMS.add(self)

    def set_model(self, graph: bytes, tokenizer_json: str) -> None:
        """Take a model and see that it is one that can be run.

        graph (bytes): An ONNX file, as `spacy-wnut export` writes it.
        tokenizer_json (str): A tokenizer.json.

        Raises WnutError if it can't be run, or is a model of another kind.
        """
        self._take(graph, tokenizer_json)
        _ = self.started

    @property
    def started(self) -> Started:
        """RETURNS (Started): What runs the model in this process.

        Raises WnutError, when asked for the first time, if the model can't be run or is
        of another kind, or its tokenizer can't be read.
        """
        started = self._started
        if started is None:
            with self._starting:
                # Another thread may have been faster.
                started = self._started or self._start_here()
                self._started = started
        return started

    @property
    def tags(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The tags of its emissions, in their order."""
        return tuple(self.started.about["tags"])

    @property
    def is_mean(self) -> bool:
        """RETURNS (bool): Whether a word is the mean of its pieces."""
        return bool(self.started.about["is_mean"])

    @property
    def has_shapes(self) -> bool:
        """RETURNS (bool): Whether it takes the shapes of words."""
        return bool(self.started.about["has_shapes"])

    @property
    def width(self) -> int:
        """RETURNS (int): The width of the sums, where a word is the mean."""
        return int(self.started.about["width"])

    @property
    def session(self) -> "InferenceSession":
        """RETURNS (InferenceSession): Runs the model in this process."""
        return self.started.session

    @property
    def tokenizer(self) -> "Tokenizer":
        """RETURNS (Tokenizer): The tokenizer, without truncation and padding."""
        return self.started.tokenizer

    @property
    def specials(self) -> Specials:
        """RETURNS (Specials): The special tokens around each text."""
        return self.started.specials

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[numpy.float32]]:
        """Run the model. RETURNS: The emissions, and the sums if a word is the mean."""
        outputs: list[NDArray[numpy.float32]] = self.session.run(None, inputs)
        return outputs

    def to_bytes(self) -> bytes:
        """RETURNS (bytes): The model and the tokenizer, with a checksum."""
        stored = {
            "format": FORMAT,
            "graph": self.graph,
            "tokenizer": self.tokenizer_json,
            "sha256": _checksum(self.graph, self.tokenizer_json),
        }
        return bytes(srsly.msgpack_dumps(stored))

    def from_bytes(self, data: bytes) -> "OnnxShim":
        """Load what `to_bytes` gave. Nothing in it is unpickled.

        It is started, and seen to be one that can be run, when something is asked of
        it: those who call this still hold copies of all the bytes, and starting takes
        as much memory again.

        Raises WnutError if it is damaged.
        """
        try:
            stored = srsly.msgpack_loads(data)
            found = stored["format"]
            graph, tokenizer = stored["graph"], stored["tokenizer"]
            expected = stored["sha256"]
        # What msgpack raises is of many types.
        except Exception as err:
            raise WnutError(f"{DAMAGED} ({err!r})") from err
        _check_format(found)
        if not isinstance(graph, bytes) or not isinstance(tokenizer, str):
            raise WnutError(DAMAGED)
        if graph and _checksum(graph, tokenizer) != expected:
            raise WnutError(f"{DAMAGED} (its checksum is another)")
        if graph:
            self._take(graph, tokenizer)
        return self

    def _take(self, graph: bytes, tokenizer_json: str) -> None:
        self.graph, self.tokenizer_json = graph, tokenizer_json
        self._started = None

    def _start_here(self) -> Started:
        if not self.graph:
            raise _no_model()
        session = _start(self.graph, self.threads or _n_threads())
        about = _read_about(session)
        tokenizer = _read_tokenizer(self.tokenizer_json)
        return Started(session, tokenizer, Specials.of(tokenizer), about)

    def __getstate__(self) -> dict[str, Any]:
        # Sessions and locks belong to a process.
        state = {**self.__dict__, "_started": None}
        del state["_starting"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._starting = Lock()
        _SHIMS.add(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxShim":
        copied = OnnxShim(self.threads)
        copied.graph, copied.tokenizer_json = self.graph, self.tokenizer_json
        return copied


_SHIMS: "WeakSet[OnnxShim]" = WeakSet()
_LEFT_BEHIND: list[Any] = []


def _leave_behind() -> None:
    """In a forked process: its sessions have lost their threads. They can't be used,
    and not be freed either, for that would wait for the threads forever. A thread that
    held the lock is gone, too.
    """
    for shim in _SHIMS:
        _LEFT_BEHIND.append(shim._started)
        shim._started = None
        shim._starting = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_behind)

DAMAGED = (
    "the model's file is damaged: install the pipeline again, or write it again with "
    "`spacy-wnut export`"
)


def _start(graph: bytes, threads: int) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError as err:
        raise _missing("onnxruntime") from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Batches are of every shape, so there is no pattern in what they need.
    options.enable_mem_pattern = False
    # The graph is as it should be: what would be fused further is slower.
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    # It would round attention's output to eight bits twice.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
    # Of the exceptions that ONNX Runtime has for this not one is public.
    except Exception as err:
        raise WnutError(
            f"the model can't be run by ONNX Runtime {onnxruntime.__version__}: "
            f"{str(err).strip()}. Install the version that the pipeline's meta.json "
            "asks for, or write the pipeline again with `spacy-wnut export`"
        ) from err


def _read_tokenizer(tokenizer_json: str) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError as err:
        raise _missing("tokenizers") from err
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    # What the library raises has no type of its own.
    except Exception as err:
        raise WnutError(
            f"the model's tokenizer can't be read ({err}): export it again"
        ) from err
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_about(session: "InferenceSession") -> dict[str, Any]:
    """What a model says of itself, if it is one of ours and is true."""
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise WnutError(
            "the ONNX model wasn't written by `spacy-wnut export`, and others can't "
            "be run: they don't say what their outputs are"
        )
    about: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    _check_format(about.get("format"))
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    n_tags = len(about.get("tags", ()))
    is_known = NEEDED <= inputs <= NEEDED | MEAN | {"shapes"}
    is_whole = not MEAN & inputs or (inputs >= MEAN and "sums" in outputs)
    if not is_known or not is_whole or outputs.get("emissions", [0])[-1] != n_tags:
        raise WnutError(
            f"the ONNX model isn't what it says: it has inputs {sorted(inputs)} and "
            f"outputs {outputs}, for {n_tags} tags. Write it again with "
            "`spacy-wnut export`"
        )
    return {
        "tags": about["tags"],
        "is_mean": inputs >= MEAN,
        "has_shapes": "shapes" in inputs,
        "width": outputs["sums"][-1] if inputs >= MEAN else 0,
    }


def _check_format(found: Any) -> None:
    if found != FORMAT:
        raise WnutError(
            f"the model has the format {found}, and this version of spacy-wnut reads "
            f"{FORMAT}: install the version that the pipeline's meta.json asks for"
        )


def _checksum(graph: bytes, tokenizer_json: str) -> str:
    checksum = hashlib.sha256(graph)
    checksum.update(tokenizer_json.encode("utf8"))
    return checksum.hexdigest()


def _no_model() -> WnutError:
    return WnutError(
        "spacy-wnut.OnnxTagger.v1 has no model yet. It can't be trained: train "
        "spacy-wnut.TransformerTagger.v1, then `spacy-wnut export`"
    )


def _missing(package: str) -> WnutError:
    return WnutError(
        f"this pipeline needs the package {package}, which isn't installed: {INSTALL}"
    )


def _n_threads() -> int:
    if multiprocessing.parent_process() is not None:
        # Its fellow workers have the other processors.
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
