"""Write the word list of the nano model, from the instructions of the four suites.

    python scripts/make_nano_tokenizer.py

Adding a word changes the ids: a nano checkpoint needs the file that it was trained with, and has a copy of it.
"""

from vla_bench.model.tokenizer import NANO_TOKENIZER, build_nano_tokenizer

tokenizer = build_nano_tokenizer()
tokenizer.save(str(NANO_TOKENIZER))
print(f"{NANO_TOKENIZER}: {tokenizer.get_vocab_size()} ids")
