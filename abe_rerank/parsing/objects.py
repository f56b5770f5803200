"""One step of the walk at a noun phrase: a new thing or a mention of an earlier one, with its role and relations."""

from __future__ import annotations

from typing import NamedTuple

from abe_rerank.parsing import constructions
from abe_rerank.parsing.between import NEAR, said_of_last
from abe_rerank.parsing.edits import Add, Bind, Clause, Edit, Edits, Ignore, Place, Relate, Step, Talk, View
from abe_rerank.parsing.lexicon import is_plural
from abe_rerank.parsing.phrases import Phrase, negated, number_value
from abe_rerank.parsing.scene import Role, Thing, differing_places
from abe_rerank.parsing.scene_words import ORDERED, PAINTED
from abe_rerank.parsing.tags import AND, BE, JOINING, PREPOSITION, Tag, tags

_ANAPHORS = frozenset({"one", "other", "another", "others", "both", "each", "two", "three", "all", "some"})
_SINGLE = frozenset({"one", "other", "another"})
_NUMBERED = frozenset({"first", "second", "third", "last"})
_ELSEWHERE = ORDERED | {"other", "another"}
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
    if modifiers and clause.copula and phrase.number is None and not _ordered(view, phrase):
        return Step(clause, talk, tuple(Bind(clause.copula, k) for k in modifiers))
    if modifiers and talk.last is not None and view.link_low in PAINTED:
        return Step(clause, talk, tuple(Bind(talk.lasts, k) for k in modifiers))
    if modifiers and _noun_comes(view):
        return Step(clause._replace(elliptic=(*clause.elliptic, phrase)), talk)
    if talk.last is None:
        return Step(clause, talk)
    if modifiers and clause.copula and view.tag(-1) == BE and view.words[phrase.start].low in ("a", "an"):
        return Step(clause, talk, tuple(Bind(clause.copula, k) for k in modifiers))  # "the car is a red one"
    antecedent = _antecedent(view, phrase, talk.last)
    edits: list[Edit] = []
    dropped = clause.negate or view.link_low in _INSTEAD  # "a red kite, not a blue one"
    if not dropped and _is_another(view, phrase, antecedent):  # "the left car is red, the right one is blue"
        twin = view.scene.things[antecedent]
        antecedent = len(view.scene.things)
        edits.append(Add(Thing(twin.head, twin.end, twin.head)))
    for k in modifiers:
        edits += [Ignore(k, k + 1, "negated")] if dropped else []
        edits.append(Bind((antecedent,), k))
    clause = clause._replace(negate=False)
    if view.words[phrase.end - 1].low in _ANAPHORS or _ordered(view, phrase):
        clause = clause._replace(subject=(antecedent,), since_verb=(), link=None)
        talk = talk._replace(last=antecedent)
    return Step(clause, talk, tuple(edits))


def _antecedent(view: View, phrase: Phrase, last: int) -> int:
    """The thing whose noun a phrase without one leaves out."""
    things, clause = view.scene.things, view.clause
    whole = clause.since_verb[0] if clause.since_verb else last
    if _several(view, things[whole]):
        return whole
    if _ordered(view, phrase):  # "two flags in the wind; the first is red"
        near = range(len(things) - 1, max(len(things) - NEAR, 0) - 1, -1)
        return next((k for k in near if _several(view, things[k])), last)
    for related in view.scene.relations[: -NEAR - 1 : -1]:  # "a boy with a green cap and a girl with a blue one"
        parallel = view.words[related.at].low == view.link_low and view.tag(-1) == PREPOSITION
        if parallel and related.subject != last and things[last].role != "object":
            return related.target
    return last


def _several(view: View, thing: Thing) -> bool:
    """Does a thing have a number above one: "two cubes", not "one cube"?"""
    return thing.counted is not None and number_value(view.words[thing.counted]) != 1


def _ordered(view: View, phrase: Phrase) -> bool:
    """Does a phrase without a noun end in a word of order: "the second is blue"?"""
    return view.words[phrase.end - 1].low in _NUMBERED and view.tag(1) == BE


def _is_another(view: View, phrase: Phrase, number: int) -> bool:
    """Does "the right one", "the other" or "the small one" name a second thing, of the same kind as a thing before?"""
    words, thing = view.words, view.scene.things[number]
    if _several(view, thing) or is_plural(words[thing.end - 1].low):
        return False
    if words[phrase.end - 1].low not in _SINGLE and not _ordered(view, phrase):
        return False
    if any(words[k].low in _ELSEWHERE for k in range(phrase.start, phrase.end)):
        return True
    if differing_places(words, phrase.end, thing.end):  # "the car on the left is red, the one on the right is blue"
        return True
    said = {words[last].low for _, last in view.scene.values[number]}
    return bool(phrase.modifiers) and said.isdisjoint(words[k].low for k in phrase.modifiers)


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
    if talk.last is not None and not whose and said_of_last(view):  # "the tie the man is wearing is striped"
        now = now._replace(subject=talk.lasts, since_verb=())
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
    clause, last = view.clause, view.talk.last
    before = _before_owners(view)
    if whose:
        return _Placed(thing.role, thing.negated, clause.fronted)
    if clause.link is not None and before not in JOINING:
        return _linked(view, number, thing)
    if before not in JOINING or last is None or view.at < 2:
        return _Placed("subject", thing.negated, clause.fronted)
    other = view.scene.things[last]
    said = clause.verb_seen and not clause.since_verb and bool(clause.predicates)  # "its lid is red and the cup is"
    role: Role = "subject" if other.role == "subject" or said else "joined"
    also_negated = other.negated and view.low(-1) in ("or", "nor")
    return _Placed(role, thing.negated or also_negated, clause.fronted, _between(view, number, last))


def _before_owners(view: View) -> Tag:
    """The tag before a phrase, and before those of its owners: "and the dog's bowl"."""
    by = -1
    while view.at + by > 0 and (owner := view.items[view.at + by].phrase) is not None and owner.possessive:
        by -= 1
    return view.tag(by)


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
