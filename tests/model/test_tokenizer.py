"""Prompts: Llama-2's way, imitated by a small tokenizer of the same build, and the nano model's list of words."""

import json
import string

import pytest
import tokenizers
from tokenizers import models, normalizers, processors

from vla_bench.errors import CheckpointError
from vla_bench.interface.config import TokenIds
from vla_bench.interface.presets import NANO
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer, build_nano_tokenizer, build_word_tokenizer
from vla_bench.suites import load_suites

SPACE = 29871  # as in Llama-2
PIECES = ["▁t", "he", "▁the", "▁pick"]
MERGES = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "pick"), ("p", "i"), ("c", "k"), ("pi", "ck")]


@pytest.fixture
def llama(tmp_path):
    """A tokenizer.json built like Llama-2's: byte pairs, "▁" for spaces and before the text, bytes for the rest, BOS."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [*string.ascii_letters, *"?:,.", *PIECES, "pi", "ck", "pick"]
    vocabulary = {name: number for number, name in enumerate(names)} | {"▁": SPACE}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def pieces(file, prompt) -> list[str]:
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    return [tokenizer.id_to_token(number) for number in prompt]


def test_a_prompt_of_llama(llama):
    assert tokenizers.Tokenizer.from_file(str(llama)).encode("a").ids[0] == 1  # left to itself it adds BOS
    prompt = Tokenizer(llama, TokenIds()).prompt("Pick the MUG")
    found = pieces(llama, prompt)
    assert "".join(found) == "▁In:▁What▁action▁should▁the▁robot▁take▁to▁pick▁the▁mug?<0x0A>Out:▁"
    assert {"▁the", "▁pick", "▁t"} <= set(found)  # merged, not letter by letter
    assert 1 not in prompt and prompt[-1] == SPACE


def test_the_space_piece_stands_once_at_the_end(llama):
    """Training templates end in it, inference appends it: the same ids."""
    public = TokenIds()
    spaced = TokenIds(template=public.template + " ")
    assert Tokenizer(llama, spaced).prompt("push the plate") == Tokenizer(llama, public).prompt("push the plate")


def test_padding_and_limits_that_a_file_carries_do_not_apply(llama):
    expected = Tokenizer(llama, TokenIds()).prompt("push the plate")
    tokenizer = tokenizers.Tokenizer.from_file(str(llama))
    tokenizer.enable_padding(length=200, pad_id=0, pad_token="<unk>")
    tokenizer.enable_truncation(6)
    tokenizer.save(str(llama))
    assert Tokenizer(llama, TokenIds()).prompt("push the plate") == expected


def test_braces_in_an_instruction_are_text(llama):
    prompt = Tokenizer(llama, TokenIds()).prompt("{instruction} {0}")
    assert "".join(pieces(llama, prompt)).count("instruction") == 1


# --- words


def nano() -> Tokenizer:
    return Tokenizer(NANO_TOKENIZER, NANO.tokens)


def test_nano_knows_every_word_of_the_forty_instructions():
    tokenizer = nano()
    names = {number: name for name, number in json.loads(NANO_TOKENIZER.read_text())["model"]["vocab"].items()}
    for suite in load_suites():
        for task in suite.tasks:
            prompt = tokenizer.prompt(task.language)
            assert prompt[-1] == NANO.tokens.space and max(prompt) < NANO.tokens.actions_end - NANO.tokens.action_bins
            assert [names[number] for number in prompt[:-1]] == task.language.lower().split()


def test_the_shipped_word_list_is_the_one_that_the_suites_give():
    shipped, built = json.loads(NANO_TOKENIZER.read_text()), json.loads(build_nano_tokenizer().to_str())
    assert shipped["model"]["vocab"] == built["model"]["vocab"], "python scripts/make_nano_tokenizer.py"
    ids = shipped["model"]["vocab"]
    assert sorted(ids.values()) == list(range(NANO.tokens.pad + 1)) and ids["<pad>"] == NANO.tokens.pad
    assert (ids["<action 1>"], ids["<action 256>"], ids["alphabet"], ids["yellow"]) == (383, 128, 4, 72)
    assert sum(name.startswith("<spare") for name in ids) == 55


def test_words_are_lower_case_without_punctuation_and_else_unknown():
    tokenizer = nano()
    turn, on, the, stove, space = tokenizer.prompt("turn on the stove")
    assert tokenizer.prompt("Turn  ON the\nstove") == (turn, on, the, stove, space)
    assert tokenizer.prompt("turn, on?") == (turn, 0, on, 0, space)
    assert tokenizer.prompt("turn on the samovar") == (turn, on, the, 0, space)
    assert tokenizer.prompt("") == (space,)
    for special in ("<s>", "</s>", "<pad>", "<action 7>", "<spare 80>", "<space>"):
        assert set(tokenizer.prompt(special)) == {0, space}  # none can be typed


def test_ids_depend_on_the_set_of_words_only():
    one = build_word_tokenizer(["put the bowl", "On the stove!"], NANO.tokens)
    other = build_word_tokenizer(["stove on ! the", "the bowl put put"], NANO.tokens)
    assert one.get_vocab() == other.get_vocab()
    assert [one.token_to_id(word) for word in ("!", "bowl", "on", "put", "stove", "the")] == list(range(4, 10))
    assert Tokenizer(one, NANO.tokens).prompt("put the bowl") == (7, 9, 5, 3)


def test_too_many_words_are_an_error():
    words = [f"word{number}" for number in range(125)]
    build_word_tokenizer(words[:124], NANO.tokens)
    with pytest.raises(CheckpointError, match="125 words do not fit into the 124 ids below the action bins"):
        build_word_tokenizer(words, NANO.tokens)


# --- files that cannot be used


def test_a_checkpoint_without_a_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match="has no tokenizer.json") as caught:
        Tokenizer(tmp_path / "tokenizer.json", TokenIds())
    assert caught.value.message.startswith(str(tmp_path))
    assert caught.value.fix == f"hf download openvla/openvla-7b tokenizer.json --local-dir {tmp_path}"
    with pytest.raises(CheckpointError, match="the checkpoint has no tokenizer.json"):
        Tokenizer(None, TokenIds())
    with pytest.raises(CheckpointError) as caught:
        Tokenizer(tmp_path / "tokenizer.json", NANO.tokens)
    assert caught.value.fix == f"cp {NANO_TOKENIZER} {tmp_path}/tokenizer.json"


@pytest.mark.parametrize("content", ["", "{}", "not JSON", '{"model": {"type": "BPE", "vocab": 3}}'])
def test_a_damaged_tokenizer(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(CheckpointError, match="is not a tokenizer"):
        Tokenizer(file, TokenIds())


def test_a_tokenizer_of_another_model(llama):
    with pytest.raises(CheckpointError, match=f"{llama} has ids up to {SPACE}, and this model's end at 384"):
        Tokenizer(llama, NANO.tokens)
    with pytest.raises(CheckpointError, match=f"has no token {SPACE}, this model's space"):
        Tokenizer(NANO_TOKENIZER, TokenIds())
