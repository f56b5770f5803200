"""One step of the walk at a word that stands between noun phrases: verbs, prepositions, pronouns, marks, and
adjectives without a noun.
"""

from __future__ import annotations

from abe_rerank.parsing.edits import Bind, Clause, Detach, Ignore, Step, Things, View
from abe_rerank.parsing.lexicon import kind_of
from abe_rerank.parsing.scene_words import LINKING, PAINTED, STATED, TEXTS, WRITING
from abe_rerank.parsing.tags import (
    ADJECTIVE,
    ADVERB,
    BE,
    COMMA,
    HAVE,
    ING,
    NOT,
    PARTICIPLE,
    PARTICIPLES,
    PHRASE,
    PREPOSITION,
    PRONOUN,
    QUOTED,
    RELATIVE,
    STOP,
    SUBORDINATOR,
    VERB,
    tags,
)
from abe_rerank.parsing.words import Word

NEAR = 12
"""How far attributes and ellipses reach, in items; keeps the walk linear."""

_CLAUSE = 6
_PLURAL_BE = frozenset({"are", "were", "'re"})
_PRONOUNS = frozenset({"it", "they", "he", "she"})
_AUXILIARIES = tags("BH")
_VERBAL = tags("VEG")
_REFERRING = tags("WOS")
_TAKING_OBJECTS = tags("IVG")
_ADJECTIVAL = tags("JR")
_ACTING = tags("VEGBHMIR")
_STILL_NEGATED = tags("CJR,")
_AFTER_NOUN = tags("RJ,C:")


def step_at_word(view: View) -> Step:
    """What a word outside of noun phrases changes."""
    clause, talk = view.clause, view.talk
    item = view.items[view.at]
    word, tag = view.words[item.at], item.tag
    if tag == STOP:
        return Step(Clause(), talk._replace(topic=clause.subject or clause.since_verb[:1] or talk.topic))
    if tag in _AUXILIARIES or (tag in _VERBAL and word.low in LINKING):
        clause = _verb(view, word, view.tag(-1) != PRONOUN or word.low != "'s")
        return Step(clause._replace(copula=clause.subject if tag != HAVE else (), only_colours=False), talk)
    if tag == ADJECTIVE or (tag in PARTICIPLES and _is_value(view, word)):
        return _bare(view, word)
    if tag == VERB:
        clause = _verb(view, word, True)
        return Step(clause._replace(copula=clause.subject, only_colours=True), talk)
    if tag in PARTICIPLES:
        return Step(clause._replace(link=item, copula=clause.copula if word.low in PAINTED else ()), talk)
    if tag == PREPOSITION:
        return Step(clause._replace(link=item, copula=()), talk)
    if tag in _REFERRING:
        return _reference(view, word)
    if tag == NOT:
        return Step(clause._replace(negate=True), talk)
    if word.low == "respectively":
        return _respectively(view)
    if tag == COMMA and (clause.negate or clause.link is not None):
        return Step(clause._replace(link=None, negate=clause.negate and view.tag(1) in _ADJECTIVAL), talk)
    return Step(clause, talk)


def _is_value(view: View, word: Word) -> bool:
    """Is a participle an attribute by itself ("rusted"), not the link to what follows ("carved from")?"""
    acts = word.tag == ING and view.tag(1) == PHRASE  # "a man peeling an orange"
    return kind_of(word.low) != "other" and word.low not in PAINTED and view.tag(1) != PREPOSITION and not acts


def _verb(view: View, word: Word, finds_subject: bool) -> Clause:
    """The clause after a finite verb, whose subject is among the things since the last one."""
    clause, item = view.clause, view.items[view.at]
    plural = word.low in _PLURAL_BE or (item.tag in (VERB, HAVE) and not word.low.endswith("s"))
    things = view.scene.things
    candidates = tuple(k for k in clause.since_verb if things[k].role == "subject")
    subject, described = clause.subject, clause.described
    if described:
        subject, described = described, ()
    elif candidates and finds_subject:
        subject = candidates if plural else candidates[-1:]
    elif clause.since_verb and things[clause.since_verb[-1]].role == "joined":
        subject = clause.since_verb[-1:]
    finite = item.tag != ING
    return clause._replace(
        subject=subject,
        described=described,
        since_verb=() if finite else clause.since_verb,
        verb_seen=clause.verb_seen or finite,
        link=item,
        predicates=(),
    )


def _reference(view: View, word: Word) -> Step:
    """A pronoun, relative word or subordinator: whom the next verb is about."""
    clause, talk, tag, before = view.clause, view.talk, word.tag, view.tag(-1)
    subject, topic = clause.subject, talk.topic
    if tag == PRONOUN and talk.last is not None and said_of_last(view):  # "the tie he is wearing is striped"
        return Step(clause._replace(subject=talk.lasts, since_verb=(), link=None), talk)
    if tag == RELATIVE and talk.last is not None and before != PREPOSITION:
        several = view.low(1) in _PLURAL_BE and len(clause.since_verb) > 1
        joined = several and view.scene.things[talk.last].role != "object"
        subject = clause.since_verb if joined else (talk.last,)
    elif tag == PRONOUN and word.low in _PRONOUNS and before not in _TAKING_OBJECTS:
        subject = subject if clause.verb_seen and subject else topic or subject or _named_so_far(view, word)
    elif tag == SUBORDINATOR and view.tag(1) in _ADJECTIVAL and clause.copula:  # "not red but blue"
        return Step(clause._replace(negate=False), talk)
    elif tag == SUBORDINATOR:
        topic = subject or topic
    kept = tag == PRONOUN and before == PREPOSITION  # "the bowl beside it is blue": the bowl is still the subject
    since_verb = clause.since_verb if kept else ()
    return Step(clause._replace(subject=subject, since_verb=since_verb, link=None), talk._replace(topic=topic))


def _named_so_far(view: View, word: Word) -> Things:
    """Whom a pronoun means before any verb: "a hedgehog on grass, it is brown"."""
    things = view.scene.things
    named = tuple(k for k in view.clause.since_verb if things[k].role == "subject") or view.talk.lasts
    return named if word.low == "they" else named[:1]


def said_of_last(view: View) -> bool:
    """Does a clause about the last thing start here, with the thing's own verb after it?"""
    if view.tag(-1) not in (PHRASE, RELATIVE):
        return False
    acted = False
    for by in range(1, _CLAUSE):
        tag = view.tag(by)
        if tag == BE and acted:
            return True
        if tag not in _ACTING:
            return False
        acted = acted or tag != ADVERB
    return False


def _bare(view: View, word: Word) -> Step:
    """An adjective outside a noun phrase: predicative, after "painted" or "in", or after its noun."""
    clause, talk, at = view.clause, view.talk, view.items[view.at].at
    if clause.negate:  # "not white, but", "not very tall", not "not white in front of"
        clause = clause._replace(negate=view.tag(1) in _STILL_NEGATED)
        return Step(clause, talk, (Ignore(at, at + 1, "negated"),))
    if view.low(1) == "than":
        return Step(clause, talk, (Ignore(at, at + 1, "comparison"),))
    if word.tag == PARTICIPLE and word.low in STATED:
        return Step(clause._replace(link=view.items[view.at]), talk)
    if _said_of_writing(view):
        return Step(clause, talk, (Ignore(at, at + 1, "of the quoted text"),))
    targets = _bare_targets(view, kind_of(word.low))
    return Step(clause._replace(predicates=(*clause.predicates[-NEAR:], at)), talk, (Bind(targets, at),))


def _said_of_writing(view: View) -> bool:
    """Is an adjective after "in" that of quoted writing, not of what that stands on: "a banner reading 'hi' in white"?
    "The text 'hi' in white" names the writing, which takes the white."""
    last, by = view.talk.last, -1
    if last is not None and view.words[view.scene.things[last].end - 1].low in TEXTS:
        return False
    while view.tag(by) in _AFTER_NOUN and by > -NEAR:
        by -= 1
    if view.tag(by) != PREPOSITION or view.low(by) != "in":
        return False
    by -= 1
    while by > -NEAR and (view.low(by) in WRITING or view.tag(by) in (PRONOUN, PREPOSITION)):  # "written on it in"
        by -= 1
    return QUOTED in (view.tag(by), view.tag(by - 1))


def _bare_targets(view: View, kind: str) -> Things:
    clause, last, link = view.clause, view.talk.lasts, view.link_low
    if clause.copula and (kind == "colour" or not clause.only_colours):
        return clause.copula
    if link in PAINTED:
        return clause.subject if clause.subject and clause.verb_seen and not clause.since_verb else last
    only_the_picture = view.talk.framed and not last
    if link in ("in", "of") and kind == "colour" and not only_the_picture:
        return last
    if link == "of" and kind == "material":  # "a jar made of ceramic"
        return last
    if kind == "other":
        return ()
    by = -1
    while view.tag(by) in _AFTER_NOUN and view.at + by > max(view.at - NEAR, 0):
        by -= 1
    return last if view.tag(by) == PHRASE else ()


def _respectively(view: View) -> Step:
    """ "The cube and the ball are red and blue respectively": one adjective for each subject."""
    clause = view.clause
    if not len(clause.predicates) == len(clause.subject) > 1:
        return Step(clause, view.talk)
    others = [frozenset(clause.predicates) - {at} for at in clause.predicates]
    return Step(clause, view.talk, tuple(map(Detach, clause.subject, others)))
