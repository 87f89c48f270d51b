"""Which encoder families train under our configs: docs/encoders.md.

    python benchmarks/encoders.py

Every family that the tutorial lists gets a tiny encoder of random weights and a tiny
tokenizer, takes two steps under configs/tutorial.cfg and predicts. There is nothing
to download.
"""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy
import typer

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs" / "encoders.md"
CONFIG = ROOT / "configs" / "tutorial.cfg"

TEXTS = [
    "Pretty bad storm in New York last evening.",
    "Ada Lovelace moved to Oslo , so did Grace Hopper .",
]
ENTITIES = [
    [(20, 28, "location")],
    [(0, 12, "person"), (22, 26, "location"), (36, 48, "person")],
]

# Most architectures call the same things by these names.
SMALL = {
    "hidden_size": 16,
    "embedding_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
}


class Family(NamedTuple):
    """An encoder family by its `title`, its `model_type` in transformers, `settings`
    beside SMALL, and `tokens`: whether a tokenizer of words' pieces with special tokens
    around ("wordpiece") or of bytes without ("bytes"). `why_not` says why it can't be
    trained, if it can't.
    """

    title: str
    model_type: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    tokens: str = "wordpiece"
    why_not: str = ""


NO_FAST = "has no fast tokenizer"
FAMILIES = [
    Family("ALBERT", "albert"),
    Family("BERT", "bert"),
    Family("BigBird", "big_bird", {"attention_type": "original_full"}),
    Family("BioGPT", "biogpt"),
    Family("BLOOM", "bloom", {"n_layer": 1, "n_head": 2}, "bytes"),
    Family("BROS", "bros", why_not="needs the boxes of words on a page"),
    Family("CamemBERT", "camembert"),
    Family("CANINE", "canine"),
    Family("ConvBERT", "convbert", {"conv_kernel_size": 3, "head_ratio": 1}),
    Family("Data2VecText", "data2vec-text"),
    Family("DeBERTa", "deberta", {}),
    Family("DeBERTa-v2", "deberta-v2", {}),
    Family("DistilBERT", "distilbert", {"dim": 16, "hidden_dim": 16, "n_layers": 1}),
    Family("ELECTRA", "electra"),
    Family("ERNIE", "ernie"),
    Family("ErnieM", "ernie_m"),
    Family("ESM", "esm", {"pad_token_id": 0, "mask_token_id": 4}),
    Family("Falcon", "falcon", {}, "bytes"),
    Family("FlauBERT", "flaubert", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    Family("FNet", "fnet"),
    Family(
        "Funnel",
        "funnel",
        {"block_sizes": [1, 1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 16},
    ),
    Family("GPT-Sw3", "gpt-sw3", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    Family("GPT-2", "gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    Family("GPTBigCode", "gpt_bigcode", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    Family(
        "GPT-Neo",
        "gpt_neo",
        {"num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]},
        "bytes",
    ),
    Family("GPT-NeoX", "gpt_neox", {}, "bytes"),
    Family("I-BERT", "ibert"),
    Family("LayoutLM", "layoutlm"),
    Family("LayoutLMv2", "layoutlmv2"),
    Family("LayoutLMv3", "layoutlmv3"),
    Family("LiLT", "lilt"),
    Family("Longformer", "longformer", {"attention_window": 8}),
    Family("LUKE", "luke", {"entity_vocab_size": 10, "entity_emb_size": 8}),
    Family("MarkupLM", "markuplm", {"max_depth": 4}),
    Family("MEGA", "mega"),
    Family("Megatron-BERT", "megatron-bert"),
    Family(
        "MobileBERT",
        "mobilebert",
        {"intra_bottleneck_size": 16, "true_hidden_size": 16},
    ),
    Family("MPNet", "mpnet"),
    Family("MPT", "mpt", {"d_model": 16, "n_heads": 2, "n_layers": 1}, "bytes"),
    Family("MRA", "mra"),
    Family("Nezha", "nezha"),
    Family("Nystromformer", "nystromformer", {"num_landmarks": 8, "segment_means_seq_len": 8}),
    Family("QDQBert", "qdqbert"),
    Family("RemBERT", "rembert", {"input_embedding_size": 8}),
    Family("RoBERTa", "roberta"),
    Family("RoBERTa-PreLayerNorm", "roberta-prelayernorm"),
    Family("RoCBert", "roc_bert", {"enable_pronunciation": False, "enable_shape": False}),
    Family("RoFormer", "roformer"),
    Family("SqueezeBERT", "squeezebert"),
    Family("XLM", "xlm", {"emb_dim": 16, "n_layers": 1, "n_heads": 2}),
    Family("XLM-RoBERTa", "xlm-roberta"),
    Family("XLM-RoBERTa-XL", "xlm-roberta-xl"),
    Family("XLNet", "xlnet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16}),
    Family("X-MOD", "xmod", {"languages": ["en_XX"], "default_language": "en_XX"}),
    Family("YOSO", "yoso"),
]


def make_tiny(family: Family, folder: Path) -> None:
    """Write a family's encoder of random weights, and a tokenizer, to a folder.

    Raises whatever transformers raises if it can't make one.
    """
    import torch
    from transformers import CONFIG_MAPPING, AutoModel

    tokenizer = make_tokenizer(family.tokens)
    config = CONFIG_MAPPING[family.model_type](
        **SMALL
        | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        | family.settings
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer(tokens: str) -> Any:
    """A fast tokenizer, as Family's `tokens` says."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if tokens == "bytes":
        vocabulary = {"<pad>": 0}
        for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
            vocabulary[character] = len(vocabulary)
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        specials = {"pad_token": "<pad>", "eos_token": "<pad>"}
    else:
        # Where RoBERTa has its own: padding at 1.
        pieces = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
        letters = sorted(set("".join(TEXTS)) - {" "})
        pieces += letters + [f"##{letter}" for letter in letters]
        vocabulary = {piece: i for i, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 0))
        specials = {
            f"{name.lower()}_token": f"[{name}]"
            for name in ("CLS", "PAD", "SEP", "UNK", "MASK")
        }
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, **specials
    )


def train_and_predict(encoder: Path) -> None:
    """Take two steps with an encoder under configs/tutorial.cfg, and predict.

    Raises whatever can't be done on the way, and AssertionError if the encoder
    learns nothing or gives numbers that aren't any.
    """
    from spacy.training import Example
    from spacy.util import load_config, load_model_from_config

    config = load_config(CONFIG, overrides={"paths.encoder": str(encoder)})
    nlp = load_model_from_config(config, auto_fill=True)
    examples = [
        Example.from_dict(nlp.make_doc(text), {"entities": entities})
        for text, entities in zip(TEXTS, ENTITIES, strict=True)
    ]
    optimizer = nlp.initialize(lambda: examples)
    network = nlp.get_pipe("transformer").model.transformer
    before = [p.detach().clone() for p in network.parameters()]
    for _ in range(2):
        losses: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=losses)
        assert numpy.isfinite(losses["ner"]), "the loss is no number"
    moved = [
        not p.detach().equal(b)
        for p, b in zip(network.parameters(), before, strict=True)
    ]
    assert sum(moved) > len(moved) / 2, "most of the encoder's weights didn't move"
    docs = list(nlp.pipe(TEXTS))
    emissions = nlp.get_pipe("ner").model.predict(docs)
    for doc, scores in zip(docs, emissions, strict=True):
        assert len(scores) == len(doc) and numpy.isfinite(scores).all()
        assert numpy.ptp(scores, axis=0).all(), "all words have the same emissions"
