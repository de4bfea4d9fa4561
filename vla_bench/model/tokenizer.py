"""Instructions to token ids, over a `tokenizer.json`: Llama-2's, or the word list of the nano model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from vla_bench.errors import CheckpointError
from vla_bench.interface.config import TokenIds
from vla_bench.interface.presets import NANO

FILE = "tokenizer.json"
LLAMA = "openvla/openvla-7b"  # all public checkpoints have its tokenizer
NANO_TOKENIZER = Path(__file__).with_name("nano_tokenizer.json")  # scripts/make_nano_tokenizer.py writes it
UNKNOWN = 0  # id of every word that is not in a word list


class Tokenizer:
    """Makes prompts as the model was trained on them.

    source: a `tokenizer.json`, or a tokenizer in memory; None stands for a checkpoint that has none.
    Raises CheckpointError for a file that is missing or damaged, or that belongs to a model with other `ids`.
    """

    def __init__(self, source: Path | tokenizers.Tokenizer | None, ids: TokenIds):
        self.ids = ids
        in_memory = isinstance(source, tokenizers.Tokenizer)
        self._tokenizer = source if in_memory else _read(source, ids)
        # Saved processors may carry the padding and the length limit of their last call.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        mismatch = self._mismatch()
        if mismatch:
            raise CheckpointError(
                f"{'the tokenizer' if in_memory else source} {mismatch}", _mend(None if in_memory else source, ids)
            )

    def prompt(self, instruction: str) -> tuple[int, ...]:
        """The prompt's token ids as `Inputs.prompts` has them: without BOS, which stands apart before the image tokens, and
        ending in the lone space piece, which training templates have before their first action token."""
        text = self.ids.template.replace("{instruction}", instruction.lower())
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tuple(ids if ids and ids[-1] == self.ids.space else [*ids, self.ids.space])

    def _mismatch(self) -> str | None:
        """Why this tokenizer belongs to another model, as far as ids tell."""
        ids = self.ids
        last, limit = max(self._tokenizer.get_vocab().values(), default=-1), max(ids.pad, ids.actions_end - 1)
        if last > limit:
            return f"has ids up to {last}, and this model's end at {limit}"
        for what, number in (("BOS", ids.bos), ("stop", ids.stop), ("space", ids.space)):
            if self._tokenizer.id_to_token(number) is None:
                return f"has no token {number}, this model's {what}"
        return None


def build_word_tokenizer(sentences: Iterable[str], ids: TokenIds) -> tokenizers.Tokenizer:
    """A tokenizer of whole words, lower case, punctuation apart; words that `sentences` lack become `<unk>`.

    Ids depend on the set of words only: specials, words by alphabet, spare ones up to the action bins, the bins, pad.
    Raises CheckpointError where the words do not fit below the bins.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words = sorted({word for s in sentences for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(s))})
    # No name of a special can be typed: its punctuation would be split off.
    names = {UNKNOWN: "<unk>", ids.bos: "<s>", ids.stop: "</s>", ids.space: "<space>", ids.pad: "<pad>"}
    names |= {ids.actions_end - b: f"<action {b}>" for b in range(1, ids.action_bins + 1)}
    free = [number for number in range(ids.actions_end - ids.action_bins) if number not in names]
    if len(words) > len(free):
        raise CheckpointError(f"{len(words)} words do not fit into the {len(free)} ids below the action bins")
    names |= {number: f"<spare {number}>" for number in free} | dict(zip(free, words, strict=False))
    vocabulary = {names[number]: number for number in sorted(names)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=names[UNKNOWN]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return tokenizer


def build_nano_tokenizer() -> tokenizers.Tokenizer:
    """The nano model's: every word of the suites' instructions.

    It is shipped as `NANO_TOKENIZER` rather than built where it is used: an edited suite must not renumber trained words.
    """
    from vla_bench.suites import load_suites

    return build_word_tokenizer((task.language for suite in load_suites() for task in suite.tasks), NANO.tokens)


def _read(path: Path | None, ids: TokenIds) -> tokenizers.Tokenizer:
    if path is None or not path.is_file():
        folder = "the checkpoint" if path is None else str(path.parent)
        raise CheckpointError(f"{folder} has no {FILE if path is None else path.name}", _mend(path, ids))
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise CheckpointError(f"{path} is not a tokenizer: {error}", _mend(path, ids)) from error


def _mend(path: Path | None, ids: TokenIds) -> str:
    """The command that brings the right file."""
    folder = "CHECKPOINT" if path is None else str(path.parent)
    if ids == NANO.tokens:
        return f"cp {NANO_TOKENIZER} {folder}/{FILE}"
    return f"hf download {LLAMA} {FILE} --local-dir {folder}"
