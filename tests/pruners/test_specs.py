"""How pruners are written down: parsing, arguments, profiles, wrapping, and one spelling for one pruner."""

from __future__ import annotations

import pytest

from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.interface.pruner import attach
from vla_bench.pruners.catalogue import catalogue
from vla_bench.pruners.registry import canonical, choosing, make_pruner, names, pruner_class
from vla_bench.pruners.spec import parameters, parse, parse_arguments


def test_a_description_is_a_name_an_inner_one_and_arguments():
    spec = parse(" plus-random( inverse(score-norm(keep=0.3)), share=0.5 ) ")
    assert (spec.name, spec.args, spec.inner.name, spec.inner.inner.name) == (
        "plus-random",
        {"share": "0.5"},
        "inverse",
        "score-norm",
    )
    assert spec.inner.inner.args == {"keep": "0.3"}
    assert parse_arguments("layer=3, keep=0.25") == {"layer": "3", "keep": "0.25"} and parse_arguments("") == {}


@pytest.mark.parametrize("text", ["", "fastv(", "fastv)", "fastv(3)x", "a b", "fastv(keep)", "fastv(keep=1, lightvla)"])
def test_what_is_spelled_wrong_is_refused(text):
    with pytest.raises(UsageError):
        make_pruner(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fastvv", 'unknown pruner "fastvv".*fastv'),
        ("fastv(keeep=3)", 'no argument "keeep".*keep'),
        ("fastv(layer=two)", "a whole number"),
        ("fastv(rater=txt)", "one of text, prefill, action, last"),
        ("fastv(profile=best)", 'no profile "best".*ours, release, paper'),
        ("fastv(lightvla)", "takes no pruner"),
        ("inverse", "needs a pruner"),
        ("inverse(none)", "none is not one"),
        ("inverse(grid)", "does not rank by one score"),
        ("drop-random(fastv, share=1.5)", "share=1.5 of what is kept cannot be dropped"),
        ("lightvla-star-vision(queries=-3)", "queries=-3 must not be negative"),
        ("fastv(k=3, layer=2)", "k and layer are the same"),
        ("vla-pruner(warm_up=true)", "fills the memory that use_temporal reads"),
        ("sparsevlm(variant=rank, budget=64)", "variant=rank has no use for budget"),
        ("sparsevlm(counts=3/2/1, budget=64)", "variant=v1.5, counts has no use for budget"),
        ("sparsevlm(rank_scale=2)", "no use for rank_scale"),
        ("sparsevlm(variant=1stage, seed=3)", "no use for seed"),
        ("none(keep=1)", "none has no arguments"),
        ("sparsevlm(counts=9/0/0)", "one count, at least 1"),
        ("vla-cache(static=300)", "static and task not above 256"),
        ("flashvla-ics(overlap=80)", "overlap=80 must lie in 0 to 1"),
    ],
)
def test_wrong_descriptions_say_what_would_be_right(text, what):
    with pytest.raises(UsageError, match=what):
        make_pruner(text)


KEEPING = [name for name in choosing() if name != "sparsevlm" and "keep" in {p.name for p in parameters(pruner_class(name))}]


@pytest.mark.parametrize("name", [*KEEPING, "inverse(fastv)"])
def test_keep_is_a_share_or_a_number_and_nothing_between(name):
    for keep in ("1.5", "2.7", "1.0001", "0", "-0.25", "-3", "25%", "nan", "inf", "half"):
        with pytest.raises(UsageError, match=f"keep={keep}: a share up to 1 or a whole number of tokens"):
            make_pruner(name, {"keep": keep})
    for keep in ("0.25", "1", "1.0", "2", "64"):
        attach(make_pruner(name, {"keep": keep}), NANO)


@pytest.mark.parametrize("name", KEEPING)
def test_more_tokens_than_there_are_and_none_at_all_are_refused(name):
    with pytest.raises(UsageError, match="keeps 129 image tokens, and the model has 128"):
        attach(make_pruner(f"{name}(keep=129)"), NANO)
    attach(make_pruner(f"{name}(keep=129)"), SEVEN_B)
    if name != "vla-adp":  # it keeps at least one
        with pytest.raises(UsageError, match="leaves none of the model's 128"):
            attach(make_pruner(f"{name}(keep=0.001)"), NANO)


@pytest.mark.parametrize(
    "text",
    [
        "fastv(layer=99)", "fastv(layer=0)", "fastv(rater=action, layer=1)", "flashvla-ics(layer=-1)", "vla-pruner(layer=1)",
        "efficientvla-tokens(layer=6)", "vla-cache(layer=6)", "vla-cache(layers=2/40)", "sparsevlm(layers=1/2/99)",
        "sparsevlm(counts=129/9/9)", "sparsevlm(variant=1stage, keep=0.001)", "vla-adp(split=1/2/3)",
        "plus-random(fastv(layer=7))", "efficientvla-tokens(key=129)",
    ],
)  # fmt: skip
def test_what_the_model_does_not_have_is_an_error_of_use(text):
    with pytest.raises(UsageError):
        attach(make_pruner(text), NANO)


def test_the_same_pruner_has_one_spelling():
    assert canonical("fastv") == canonical("fastv(keep=0.25)") == canonical("fastv", {"layer": "2"}) == "fastv"
    assert canonical("fastv(keep=0.50, layer=3)") == canonical("fastv", {"layer": 3, "keep": 0.5}) == "fastv(layer=3, keep=0.5)"
    assert canonical("fastv(profile=release)") == "fastv(keep=0.5, rater=last, quota=global)"
    assert canonical("fastv(k=3)") == canonical("fastv", parse_arguments("k=3,keep=0.25")) == "fastv(layer=3)"
    assert canonical("fastv(profile=release, keep=7)") == "fastv(keep=7, rater=last, quota=global)"
    assert canonical("inverse(fastv)", {"keep": "0.1"}) == "inverse(fastv(keep=0.1))"
    assert canonical("drop-random(lightvla, share=0.2)") == "drop-random(lightvla, share=0.2)"
    assert canonical("none") == "none"
    close = [canonical(f"random(keep={keep})") for keep in ("0.1234567", "0.1234568")]
    assert len(set(close)) == 2  # other runs
    assert canonical("sparsevlm(profile=release-v2)") == "sparsevlm(variant=v2, always_drop=true)"  # positions as they were


def test_arguments_from_a_file(tmp_path):
    (tmp_path / "args.toml").write_text('layer = 3\nkeep = 0.5\nrater = "last"\n')
    assert canonical("fastv", parse_arguments(str(tmp_path / "args.toml"))) == "fastv(layer=3, keep=0.5, rater=last)"
    (tmp_path / "bad.toml").write_text("layer =")
    with pytest.raises(UsageError, match="TOML"):
        parse_arguments(str(tmp_path / "bad.toml"))


def test_the_catalogue_knows_where_each_acts():
    found = {entry.name: entry for entry in catalogue()}
    assert list(found) == [name for name in names() if name != "none"]
    assert found["fastv"].sites == ("before layer 2",) and found["fastv"].needs == ("prompt's attention in layer 1",)
    assert found["lightvla"].count == "adaptive" and found["random"].count == "fixed"
    assert found["lightvla-star-vision"].trained and not found["lightvla"].trained
    assert all(entry.summary and entry.source and entry.problem is None for entry in found.values())
