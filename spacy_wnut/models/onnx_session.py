"""thinc shim of an ONNX model and its tokenizer, with a lazy ONNX Runtime session."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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

# Version of the stored format that this package writes and reads.
FORMAT = 1
# Key of our description in the metadata of an ONNX model.
METADATA_KEY = "spacy_wnut"
REQUIRED_INPUTS = {"input_ids", "rows"}
# Additional inputs of a model that represents a word by the mean of its pieces.
MEAN_INPUTS = {"words", "counts", "carried"}
INSTALL = 'pip install "spacy-wnut[onnx]"'


class Runtime(NamedTuple):
    """Everything that runs a model in one process. Threads may share it.

    session (InferenceSession): The session of ONNX Runtime.
    tokenizer (Tokenizer): The tokenizer, without truncation and padding.
    specials (Specials): The special tokens around each text.
    metadata (Dict[str, Any]): Description of the model: "tags", "is_mean",
        "has_shapes" and "width".
    """

    session: "InferenceSession"
    tokenizer: "Tokenizer"
    specials: Specials
    metadata: dict[str, Any]


class Workers(NamedTuple):
    """Threads that run different batches at the same time, each on one processor.

    session (InferenceSession): A session that runs a batch in the calling thread.
    pool (ThreadPoolExecutor): The threads.
    """

    session: "InferenceSession"
    pool: ThreadPoolExecutor


class OnnxShim(Shim):
    """An ONNX model and its tokenizer. Sessions start lazily, once per process, and
    threads may share them.

    threads (int): Number of threads that run the model. 0 means one per available
        processor, or one thread if the process is a worker of another one.
    """

    def __init__(self, threads: int = 0) -> None:
        super().__init__(None)
        self.threads = threads
        self.graph = b""
        self.tokenizer_json = ""
        self._runtime: Runtime | None = None
        self._workers: Workers | None = None
        self._starting = Lock()
        _SHIMS.add(self)

    def set_model(self, graph: bytes, tokenizer_json: str) -> None:
        """Set the model and start its session, to check that it can be run.

        graph (bytes): An ONNX file written by `spacy-wnut export`.
        tokenizer_json (str): The content of a tokenizer.json.

        Raises WnutError if the model cannot be run or was not written by
        `spacy-wnut export`, or the tokenizer cannot be read.
        """
        self._set_data(graph, tokenizer_json)
        _ = self.runtime

    @property
    def n_threads(self) -> int:
        """RETURNS (int): Number of threads that run the model in this process."""
        return self.threads or _n_threads()

    @property
    def runtime(self) -> Runtime:
        """RETURNS (Runtime): The session and tokenizer of this process. They start on
            first access.

        Raises WnutError if there is no model, it cannot be run or was not written by
        `spacy-wnut export`, or its tokenizer cannot be read.
        """
        runtime = self._runtime
        if runtime is None:
            with self._starting:
                # Another thread may have started it in the meantime.
                runtime = self._runtime or self._start()
                self._runtime = runtime
        return runtime

    @property
    def workers(self) -> Workers:
        """RETURNS (Workers): The threads of this process for several batches, and their
            session, which has weights of its own. They start on first access.

        Raises WnutError as `runtime` does.
        """
        workers = self._workers
        if workers is None:
            with self._starting:
                workers = self._workers or self._start_workers()
                self._workers = workers
        return workers

    @property
    def tags(self) -> tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The tags of the columns of the emissions."""
        return tuple(self.runtime.metadata["tags"])

    @property
    def is_mean(self) -> bool:
        """RETURNS (bool): Whether a word is the mean of its pieces, not the first."""
        return bool(self.runtime.metadata["is_mean"])

    @property
    def has_shapes(self) -> bool:
        """RETURNS (bool): Whether the model has word shapes as input."""
        return bool(self.runtime.metadata["has_shapes"])

    @property
    def width(self) -> int:
        """RETURNS (int): The width of the sums of pieces; 0 if `is_mean` is False."""
        return int(self.runtime.metadata["width"])

    @property
    def session(self) -> "InferenceSession":
        """RETURNS (InferenceSession): The session of this process."""
        return self.runtime.session

    @property
    def tokenizer(self) -> "Tokenizer":
        """RETURNS (Tokenizer): The tokenizer, without truncation and padding."""
        return self.runtime.tokenizer

    @property
    def specials(self) -> Specials:
        """RETURNS (Specials): The special tokens around each text."""
        return self.runtime.specials

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[numpy.float32]]:
        """Run the model.

        inputs (Dict[str, NDArray]): The inputs, for a batch of B windows of L tokens
            each, p pooled pieces and w words: "input_ids", shape (B, L); "rows",
            shape (p,); with `has_shapes` "shapes", shape (w, N_FEATURES); with
            `is_mean` "words", shape (p, 1), "counts", shape (w, 1), and "carried",
            shape (w, width).
        RETURNS (List[Floats2d]): The emissions, shape (w, tags), and with `is_mean` the
            sums of pieces, shape (w, width).
        """
        outputs: list[NDArray[numpy.float32]] = self.session.run(None, inputs)
        return outputs

    def run_batches(
        self, batches: Sequence[dict[str, NDArray[Any]]]
    ) -> Iterator[list[NDArray[numpy.float32]]]:
        """Run the model on several batches at the same time, in different threads. If
        there are fewer batches than threads, they run in turn, each in all threads.

        batches (Sequence[Dict[str, NDArray]]): The inputs of each batch, as for `run`.
        RETURNS (Iterator[List[Floats2d]]): The outputs of each batch, in their order.
        """
        n_threads = self.n_threads
        if n_threads == 1 or len(batches) < n_threads:
            return map(self.run, batches)
        session, pool = self.workers
        try:
            return pool.map(partial(session.run, None), batches)
        except RuntimeError:
            # No thread can be started: the interpreter exits, or a limit is reached.
            return map(self.run, batches)

    def to_bytes(self) -> bytes:
        """Serialize the model.

        RETURNS (bytes): The model and the tokenizer, with a checksum.
        """
        stored = {
            "format": FORMAT,
            "graph": self.graph,
            "tokenizer": self.tokenizer_json,
            "sha256": _checksum(self.graph, self.tokenizer_json),
        }
        return bytes(srsly.msgpack_dumps(stored))

    def from_bytes(self, data: bytes) -> "OnnxShim":
        """Load the output of `to_bytes`. Nothing is unpickled.

        The session starts later, on first access of `runtime`: the callers of this
        method still hold copies of the data, and a session needs as much memory again.

        data (bytes): The serialized model.
        RETURNS (OnnxShim): The shim.

        Raises WnutError if the data are damaged or of another format.
        """
        try:
            stored = srsly.msgpack_loads(data)
            found = stored["format"]
            graph, tokenizer = stored["graph"], stored["tokenizer"]
            expected = stored["sha256"]
        # msgpack raises exceptions of many types.
        except Exception as err:
            raise WnutError(f"{DAMAGED} ({err!r})") from err
        _check_format(found)
        if not isinstance(graph, bytes) or not isinstance(tokenizer, str):
            raise WnutError(DAMAGED)
        if graph and _checksum(graph, tokenizer) != expected:
            raise WnutError(f"{DAMAGED} (its checksum does not match)")
        if graph:
            self._set_data(graph, tokenizer)
        return self

    def _set_data(self, graph: bytes, tokenizer_json: str) -> None:
        self.graph, self.tokenizer_json = graph, tokenizer_json
        self._runtime = self._workers = None

    def _start(self) -> Runtime:
        session = start_session(self.graph, self.n_threads)
        metadata = _read_metadata(session)
        tokenizer = _read_tokenizer(self.tokenizer_json)
        return Runtime(session, tokenizer, Specials.of(tokenizer), metadata)

    def _start_workers(self) -> Workers:
        return Workers(start_session(self.graph, 1), ThreadPoolExecutor(self.n_threads))

    def __getstate__(self) -> dict[str, Any]:
        # Sessions and locks belong to one process.
        state = {**self.__dict__, "_runtime": None, "_workers": None}
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
_ABANDONED: list[Any] = []


def _abandon_sessions() -> None:
    """Replace all sessions in a forked process.

    The threads of inherited sessions do not exist in the child. Such a session can
    neither run nor be freed, because freeing waits for the threads forever. So it is
    kept in `_ABANDONED`. The thread that held a lock is gone as well.
    """
    for shim in _SHIMS:
        _ABANDONED.extend((shim._runtime, shim._workers))
        shim._runtime = shim._workers = None
        shim._starting = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_sessions)

DAMAGED = (
    "the model's file is damaged: install the pipeline again, or write it again with "
    "`spacy-wnut export`"
)


def start_session(graph: bytes, threads: int) -> "InferenceSession":
    """Start a session of ONNX Runtime on the CPU.

    graph (bytes): An ONNX model.
    threads (int): Number of threads.
    RETURNS (InferenceSession): The session.

    Raises WnutError if the graph is empty, or onnxruntime is not installed or cannot run
    the model.
    """
    if not graph:
        raise _no_model()
    try:
        import onnxruntime
    except ImportError as err:
        raise _missing("onnxruntime") from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Memory patterns only help where the shapes of the inputs repeat.
    options.enable_mem_pattern = False
    # The graph is already optimized. Extended fusions make it slower.
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    # The fusion would round the output of attention to 8 bits twice.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
    # None of the exceptions that ONNX Runtime raises here is public.
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
    # tokenizers raises plain Exception.
    except Exception as err:
        raise WnutError(
            f"the model's tokenizer can't be read ({err}): export it again"
        ) from err
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_metadata(session: "InferenceSession") -> dict[str, Any]:
    """Read the description of a model and check it against its inputs and outputs."""
    stored = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in stored:
        raise WnutError(
            "the ONNX model wasn't written by `spacy-wnut export`, and other models "
            "can't be run, because they don't describe their outputs: export the "
            "pipeline with `spacy-wnut export`"
        )
    described: dict[str, Any] = json.loads(stored[METADATA_KEY])
    _check_format(described.get("format"))
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    n_tags = len(described.get("tags", ()))
    optional = MEAN_INPUTS | {"shapes"}
    is_known = REQUIRED_INPUTS <= inputs <= REQUIRED_INPUTS | optional
    is_mean = inputs >= MEAN_INPUTS
    is_complete = not MEAN_INPUTS & inputs or (is_mean and "sums" in outputs)
    if not is_known or not is_complete or outputs.get("emissions", [0])[-1] != n_tags:
        raise WnutError(
            f"the ONNX model does not match its description: it has inputs "
            f"{sorted(inputs)} and outputs {outputs}, for {n_tags} tags. Write it "
            "again with `spacy-wnut export`"
        )
    return {
        "tags": described["tags"],
        "is_mean": is_mean,
        "has_shapes": "shapes" in inputs,
        "width": outputs["sums"][-1] if is_mean else 0,
    }


def _check_format(found: Any) -> None:
    if found != FORMAT:
        raise WnutError(
            f"the model has the format {found}, but this version of spacy-wnut reads "
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
        # The other workers use the other processors.
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
