"""The gate's result as a JUnit file, which CI servers show: a testsuite is a suite, a testcase a task, and one is the gate."""

from __future__ import annotations

from xml.etree import ElementTree

from vla_bench.errors import VlaBenchError
from vla_bench.report.gate_reasons import reasons, reasons_of
from vla_bench.report.gated import closing, cost_line, opening, outcome
from vla_bench.results.gate import GateResult, GateTask, Judgement
from vla_bench.results.gate_status import GateStatus
from vla_bench.stats import Rate
from vla_bench.terminal import visible

NAME = "vla-bench gate"
KINDS = {  # of a finding, in JUnit's words; a pass has none
    GateStatus.DROPPED: "failure",
    GateStatus.COSTLIER: "failure",
    GateStatus.INCONCLUSIVE: "skipped",
    GateStatus.ERRORS: "error",
}
Element = ElementTree.Element


def junit(result: GateResult) -> str:
    """The testcase `gate` has the verdict; a suite or task that is judged by itself has its own, and others their counts alone.

    A task that the new run lacks is skipped, and one that ended in errors alone is an error.
    """
    words = "\n".join([*opening(result), *closing(result), *reasons(result)])
    gate = [_case("gate", "gate", result.finding, words, _gate_properties(result))]
    gate += [_case("gate", cost.option.strip("-"), cost.finding, cost_line(cost)) for cost in result.costs]
    judged = {(part.suite, part.task_id): part for part in result.parts}
    suites = {"gate": gate}
    for task in result.tasks:
        own = suites.setdefault(task.suite, [])
        if not own and (part := judged.get((task.suite, None))) is not None:
            own.append(_case(task.suite, "gate", part.finding, _words(part, result), _judged_properties(part)))
        own.append(_task(task, judged.get((task.suite, task.task_id)), result))
    return _document(suites)


def error_junit(error: BaseException) -> str:
    """Of a gate that came to no result, as with a damaged run: one testcase, an error."""
    said = error.message if isinstance(error, VlaBenchError) else str(error)
    case = _empty("gate", "gate")
    _sub(case, "error", said, f"{type(error).__name__}: {error}")
    return _document({"gate": [case]})


def _words(part: Judgement, result: GateResult) -> str:
    return "\n".join([f"{part.finding.value}: {outcome(part.pairs)}", *reasons_of(part, result)])


def _task(task: GateTask, judged: Judgement | None, result: GateResult) -> Element:
    name = f"{task.task_id} {task.task}"
    words = outcome(task.pairs) + (f", {task.missing} missing" if task.missing else "")
    if judged is not None:
        finding, words = judged.finding, _words(judged, result)
    elif task.pairs.count:
        finding = GateStatus.PASSED
    else:
        finding = GateStatus.ERRORS if task.pairs.errors else GateStatus.INCONCLUSIVE
    before, now = task.pairs.rates
    properties = {"pairs": task.pairs.count, **_rate("base", before), **_rate("new", now)}
    properties |= {"lost": task.pairs.fell, "gained": task.pairs.rose, "errors": task.pairs.errors, "missing": task.missing}
    return _case(task.suite, name, finding, words, properties | (_judged_properties(judged) if judged is not None else {}))


def _rate(of: str, rate: Rate) -> dict[str, object]:
    return {f"{of}_rate": rate.rate, f"{of}_rate_low": rate.low, f"{of}_rate_high": rate.high}


def _gate_properties(result: GateResult) -> dict[str, object]:
    rule = result.rule
    asked = {"rule": rule.rule.value, "alpha": rule.alpha, "must_see": rule.must_see, "margin": rule.margin}
    about = {"base": result.base, "new": result.new, "population": rule.population.value, "per": rule.per and rule.per.value}
    return about | asked | _judged_properties(result.whole)


def _judged_properties(judged: Judgement) -> dict[str, object]:
    gap = judged.difference
    table: dict[str, object] = {"p": judged.p, "smallest_drop": judged.smallest_drop}
    return table if gap is None else table | {"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high}


def _case(suite: str, name: str, finding: GateStatus, words: str, properties: dict[str, object] | None = None) -> Element:
    case = _empty(suite, name)
    if properties:
        block = ElementTree.SubElement(case, "properties")
        for key, value in properties.items():
            ElementTree.SubElement(block, "property", name=key, value="" if value is None else str(value))
    kind = KINDS.get(finding)
    if kind is None:
        ElementTree.SubElement(case, "system-out").text = _clean(words)
    else:
        _sub(case, kind, words.splitlines()[0], words)
    return case


def _empty(suite: str, name: str) -> Element:
    return Element("testcase", classname=f"{NAME}.{suite}", name=_clean(name), time="0")


def _sub(case: Element, kind: str, message: str, text: str) -> None:
    ElementTree.SubElement(case, kind, message=_clean(message), type=kind).text = _clean(text)


def _document(suites: dict[str, list[Element]]) -> str:
    root = Element("testsuites", name=NAME)
    for name, cases in suites.items():
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(name), time="0")
        suite.extend(cases)
    for element in (root, *root):
        element.set("tests", str(len(list(element.iter("testcase")))))
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            if element is not root or kind != "skipped":
                element.set(attribute, str(len(list(element.iter(kind)))))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + visible(ElementTree.tostring(root, encoding="unicode")) + "\n"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char in "\t\n" or " " <= char <= "\ud7ff" or char >= "\ue000" else "?" for char in text)
