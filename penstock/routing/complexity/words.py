"""The small vocabularies by which a question is described."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONDITION = _set(
    "if then unless suppose assume assuming given when whenever provided because therefore thus hence since so implies"
)
NEGATION = _set(
    "not except least never no none neither nor false incorrect without cannot isn't doesn't don't wasn't aren't"
)
QUANTIFIER = _set("all every some any each always only must most many few both")
PERSON = _set("he she his her him they them i you my your we our their")
ARITHMETIC = _set(
    "how many much total each times twice half more less than percent per every altogether remaining left sum "
    "difference product average ratio cost costs price sells sold buys bought spend spent earns earn pay paid minutes "
    "hours days weeks dollars cents miles feet pounds"
)
QUESTION = _set("which what who whom whose how why when where")
VERDICT = _set("true false yes no wrong right")
COMMON = _set(
    "the a an of to in is are was were and or for on with as by at from that this it its be been has have had "
    "will would can could may do does did not no if then when than there he she his her they their you your i my "
    "we into who which what how why where because each all one two after during between under about many much "
    "most some "
)
"""What English text is full of."""
REASON = _set("because if unless since but")
COMPARED = _set(
    "more less fewer larger smaller higher lower greater increase increases increased decrease decreases decreased"
)
DEFINITION = _set("defined definition term termed means")
TRUTH = _set("true correct valid false incorrect")

MAKE = _set(
    "write rewrite translate summarize summarise draft compose generate create implement refactor debug fix edit "
    "paraphrase proofread design build improve convert extract classify brainstorm plan roleplay act pretend sing "
    "make give show continue complete transform review document optimize optimise"
)
"""Verbs that ask for something to be made, which no question with one right answer begins with."""
WORK = _set(
    "find calculate compute solve evaluate determine estimate simplify round factor expand differentiate integrate "
    "prove choose select identify name consider express multiply divide add subtract use let suppose"
)
"""Verbs that ask for one right answer."""
