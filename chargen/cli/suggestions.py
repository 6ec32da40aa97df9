"""What somebody who typed an unknown option or command probably meant."""

from collections.abc import Iterable, Mapping

__all__ = ["COMMANDS_ELSEWHERE", "OPTIONS_ELSEWHERE", "suggestions"]

MOST = 3
"""The most suggestions."""

OPTIONS_ELSEWHERE = {
    "average": "ema ema-decay swa",
    "batch-size": "bs minibatch",
    "beam": "beam-size beam-width num-beams",
    "bidirectional": "bilstm bi-lstm",
    "budget": "time time-limit max-time minutes seconds duration",
    "cell": "model model-type rnn rnn-type rnn-cell type arch architecture",
    "checkpoint": "model ckpt dir folder load out out-dir output output-dir save save-dir",
    "clip-norm": "clip-value grad-clip gradient-clip grad-norm max-grad-norm",
    "count": "number num-samples n-samples samples num-return-sequences",
    "embedding": "embed-dim embedding-dim embedding-size",
    "endless": "forever infinite stream",
    "epochs": "iterations iters max-iters max-epochs num-epochs n-epochs steps",
    "format": "to type",
    "field": "column json-key key text-column text-field text-key",
    "force": "overwrite yes",
    "init-from": "finetune from pretrained transfer weights",
    "layers": "depth n-layer n-layers num-layers",
    "learning-rate": "alpha lr rate",
    "length": "chars max-length max-new-tokens max-tokens n-chars num-chars num-tokens tokens",
    "match": "filter grep regex",
    "max-copy": "no-copy novelty",
    "optimizer": "algorithm",
    "output": "checkpoint dest destination file folder out-file",
    "patience": "early-stop early-stopping",
    "per": "by level",
    "precision": "amp bf16 bfloat16 dtype fp16 half",
    "prompt": "context input prefix prefixtext prime prime-text primetext start start-text text",
    "random-seed": "manual-seed rng-seed seed",
    "reject": "exclude",
    "repetition-guard": "no-repeat-ngram-size repetition-penalty",
    "resume": "continue restart restore",
    "schedule": "decay lr-schedule scheduler",
    "stop": "end eos stop-sequence until",
    "temperature": "randomness",
    "threads": "cores cpus jobs n-jobs num-threads workers",
    "top-p": "nucleus",
    "unique": "dedup distinct",
    "try": "config model network variant with",
    "units": "dim hidden hidden-dim hidden-size n-embd n-hidden num-units rnn-size size width",
    "unknown": "oov",
    "validation": "dev test-split split",
    "weight-drop": "dropconnect recurrent-dropout",
    "window": "block-size bptt context-length maxlen seq-len seq-length sequence-length",
}
"""What other programs that train or sample call our options, by our names."""

COMMANDS_ELSEWHERE = {
    "--help": "help usage man",
    "compare": "ablation bench benchmark grid search sweep tune versus vs",
    "evaluate": "perplexity ppl score test validate",
    "export": "convert freeze onnx safetensors save",
    "gradients": "backprop bptt explode exploding reach vanish vanishing",
    "info": "config describe inspect show summary",
    "list": "checkpoints ls models",
    "novelty": "copied copies plagiarism",
    "sample": "complete gen generate predict run write",
    "train": "finetune fit learn",
}
"""What other programs call our commands, or what people try."""


def suggestions(word: str, names: Iterable[str], elsewhere: Mapping[str, str] = {}) -> list[str]:
    """Return those of the names that were probably meant, the likeliest first.

    First come the names that begin with the word, then those that the word stands for in other
    programs, then those that are spelled like it.

    Args:
        word: what was typed, without the dashes of an option.
        names: what could have been typed.
        elsewhere: the words of other programs for a name, separated by spaces.
    """
    from difflib import (
        get_close_matches,
    )  # takes a millisecond, which no other command has to spend

    word, names = word.lower().replace("_", "-"), list(names)
    found = [name for name in names if word and name.startswith(word)]
    found += [name for name in names if word in elsewhere.get(name, "").split()]
    found = found or get_close_matches(word, names)
    return list(dict.fromkeys(found))[:MOST]
