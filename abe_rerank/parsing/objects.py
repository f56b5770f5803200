"""One step of the walk at a noun phrase: a new thing or a mention of an earlier one, with its role and relations."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing import constructions
from abe_rerank.parsing.between import NEAR
from abe_rerank.parsing.edits import Add, Bind, Clause, Edit, Edits, Ignore, Place, Relate, Step, Talk, View
from abe_rerank.parsing.lexicon import is_plural
from abe_rerank.parsing.phrases import Phrase, negated, number_value
from abe_rerank.parsing.scene import Role, Thing
from abe_rerank.parsing.scene_words import PAINTED
from abe_rerank.parsing.tags import AND, BE, JOINING, PREPOSITION, tags

_ANAPHORS = frozenset({"one", "other", "another", "others", "both", "each", "two", "three", "all", "some"})
_SINGLE = frozenset({"one", "other", "another"})
_ELSEWHERE = frozenset({"left", "right", "other", "another", "first", "second", "third", "last", "middle"})
_INSTEAD = frozenset({"instead of", "rather than", "without", "unlike", "except"})
_RELATING = tags("IVGH")
_BEFORE_SUBJECT = tags("BVP,")

_CONSTRUCTIONS = (
    constructions.frame,
    constructions.style_or_place,
    constructions.shape_like,
    constructions.property_phrase,
    constructions.substance,
)


def step_at_phrase(view: View, phrase: Phrase) -> Step:
    """What a noun phrase changes."""
    if phrase.headless:
        return _headless(view, phrase)
    for construction in _CONSTRUCTIONS:
        step = construction(view, phrase)
        if step is not None:
            return step
    return _object(view, phrase)


def _headless(view: View, phrase: Phrase) -> Step:
    """A phrase without a noun: a predicate ("is a deep blue"), an ellipsis, or a mention ("one", "the other")."""
    clause, talk, modifiers = view.clause, view.talk, phrase.modifiers
    if modifiers and clause.copula and phrase.number is None:
        return Step(clause, talk, tuple(Bind(clause.copula, k) for k in modifiers))
    if modifiers and talk.last is not None and view.link_low in PAINTED:
        return Step(clause, talk, tuple(Bind(talk.lasts, k) for k in modifiers))
    if modifiers and _noun_comes(view):
        return Step(clause._replace(elliptic=(*clause.elliptic, phrase)), talk)
    if talk.last is None:
        return Step(clause, talk)
    whole = clause.since_verb[0] if clause.since_verb else talk.last
    antecedent = whole if view.scene.things[whole].counted is not None else talk.last
    edits: list[Edit] = []
    if _is_another(view, phrase, view.scene.things[antecedent]):  # "the left car is red, the right one is blue"
        twin = view.scene.things[antecedent]
        antecedent = len(view.scene.things)
        edits.append(Add(Thing(twin.head, twin.end, twin.head)))
    dropped = clause.negate or view.link_low in _INSTEAD  # "a red kite, not a blue one"
    for k in modifiers:
        edits += [Ignore(k, k + 1, "negated")] if dropped else []
        edits.append(Bind((antecedent,), k))
    clause = clause._replace(negate=False)
    if view.words[phrase.end - 1].low in _ANAPHORS:
        clause = clause._replace(subject=(antecedent,), since_verb=(), link=None)
        talk = talk._replace(last=antecedent)
    return Step(clause, talk, tuple(edits))


def _is_another(view: View, phrase: Phrase, thing: Thing) -> bool:
    """Does "the right one" or "the other" name a second thing, of the same kind as one that was named before?"""
    words = view.words
    if view.clause.negate or thing.counted is not None or words[phrase.end - 1].low not in _SINGLE:
        return False
    placed = any(words[k].low in _ELSEWHERE for k in range(phrase.start, phrase.end))
    return placed and not is_plural(words[thing.end - 1].low)


def _noun_comes(view: View) -> bool:
    """Does "and" with a whole phrase end the list of phrases without a noun that starts here?"""
    for by in range(0, NEAR, 2):
        joint, at = view.tag(by + 1), view.at + by + 2
        phrase = view.items[at].phrase if joint in JOINING and at < len(view.items) else None
        if phrase is None:
            return False
        if not phrase.headless:
            return joint == AND and phrase.opened and bool(phrase.modifiers)
    return False


def _object(view: View, phrase: Phrase) -> Step:
    """Read the phrase as a thing, give it its role and its relation to what stands before it."""
    number, thing, edits = _thing(view, phrase)
    clause, talk = view.clause, view.talk
    if phrase.possessive:
        return Step(clause, talk._replace(owner=number, substance=()), edits)
    twins = _twins(view, phrase, len(view.scene.things) + (number == len(view.scene.things)))
    whose = phrase.determiner is not None and view.words[phrase.determiner].low == "whose"
    placed = _placed(view, number, thing, whose)
    fronted, relation = placed.fronted, placed.relations
    if fronted is not None and number != fronted[1] and view.tag(-1) in _BEFORE_SUBJECT:
        relation, fronted = (*relation, Relate(number, *fronted)), None
    negated = placed.negated or clause.negate  # "a sofa but not a chair"
    same = placed.role == thing.role and negated == thing.negated
    place = () if same else (Place(number, placed.role, negated),)
    coming = tuple(Bind((number,), k, kind) for k, kind in talk.coming)
    now = Clause(
        subject=clause.subject,
        since_verb=(number,) if whose else (*clause.since_verb[-NEAR:], number),
        verb_seen=clause.verb_seen,
        predicates=clause.predicates,
        described=(number,) if talk.property_of else clause.described,
        fronted=fronted,
    )
    talk = Talk(topic=talk.topic, last=number, framed=talk.framed)
    return Step(now, talk, (*edits, *twins, *place, *relation, *coming))


def _thing(view: View, phrase: Phrase) -> tuple[int, Thing, Edits]:
    """The phrase's thing with its number: a new one, or the earlier one that a definite phrase mentions again."""
    scene, words = view.scene, view.words
    earlier = scene.mentioned(phrase)
    if earlier is not None:
        return earlier, scene.things[earlier], (Ignore(phrase.start, phrase.end, "mentioned before"),)
    counts = phrase.number is not None and number_value(words[phrase.number]) is not None
    counted = phrase.number if counts else None
    thing = Thing(phrase.head, phrase.end, phrase.start, counted, negated(words, phrase))
    number = len(scene.things)
    return number, thing, (Add(thing), *(Bind((number,), k) for k in phrase.modifiers))


def _twins(view: View, phrase: Phrase, number: int) -> Edits:
    """ "a red and a blue ball": the phrases without a noun share this one's; their things are numbered from ``number``
    on.
    """
    if not view.clause.elliptic:
        return ()
    edits: list[Edit] = []
    for k, extra in enumerate(view.clause.elliptic, start=number):
        edits.append(Add(Thing(phrase.head, phrase.end, extra.start, extra.number), twin=True))
        edits += [Bind((k,), at) for at in extra.modifiers]
    return tuple(edits)


class _Placed(NamedTuple):
    role: Role
    negated: bool
    fronted: tuple[int, int] | None
    relations: tuple[Relate, ...] = ()


def _placed(view: View, number: int, thing: Thing, whose: bool) -> _Placed:
    """The role of a thing and its relations, from what stands before its phrase."""
    clause, last, before = view.clause, view.talk.last, view.tag(-1)
    if whose:
        return _Placed(thing.role, thing.negated, clause.fronted)
    if clause.link is not None and before not in JOINING:
        return _linked(view, number, thing)
    if before not in JOINING or last is None or view.at < 2:
        return _Placed("subject", thing.negated, clause.fronted)
    other = view.scene.things[last]
    role: Role = "subject" if other.role == "subject" else "joined"
    also_negated = other.negated and view.low(-1) in ("or", "nor")
    return _Placed(role, thing.negated or also_negated, clause.fronted, _between(view, number, last))


def _linked(view: View, number: int, thing: Thing) -> _Placed:
    """A thing after a preposition, verb or participle."""
    clause, link = view.clause, view.clause.link
    assert link is not None
    known = number in clause.since_verb or number in clause.subject
    after_verb = clause.verb_seen and bool(clause.subject) and not clause.since_verb
    governor = clause.subject[0] if after_verb else view.talk.last
    fronted = clause.fronted
    relations: tuple[Relate, ...] = ()
    if link.tag in _RELATING:
        alone = link.tag == PREPOSITION and not clause.since_verb and not after_verb
        if governor is None or alone:
            fronted = (link.at, number) if link.tag == PREPOSITION else None
        else:
            relations = (Relate(governor, link.at, number),)
    said = known or (link.tag == BE and not clause.subject)  # "there is a cube"
    without = view.link_low in ("without", "minus")
    return _Placed(thing.role if said else "object", thing.negated or without, fronted, relations)


def _between(view: View, number: int, last: int) -> tuple[Relate, ...]:
    """ "between A and B" relates its subject to both."""
    if not view.scene.relations:
        return ()
    subject, word, target = view.scene.relations[-1]
    between = target == last and view.words[word].low in ("between", "in between")
    return (Relate(subject, word, number),) if between else ()
