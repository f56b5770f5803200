"""Which attribute belongs to which object: one walk over noun phrases and the words between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from abe_rerank.parsing.clauses import Item, items_of
from abe_rerank.parsing.lexicon import kind_of, lexicon, lemma
from abe_rerank.parsing.phrases import Phrase, negated, number_value
from abe_rerank.parsing.scene_words import (
    FRAMES,
    LINKING,
    MADE,
    PAINTED,
    PARTITIVES,
    PLACES,
    PROPERTIES,
    PROPERTY_KINDS,
    STYLE_WORDS,
    STYLES,
)
from abe_rerank.parsing.words import Word
from abe_rerank.types import Kind

_PLURAL_BE = frozenset({"are", "were", "'re"})
_DEFINITE = frozenset("the this that these those its their his her".split())


@dataclass(eq=False)
class Thing:
    """An object being collected: word indices of head and phrase, attributes as (first, last, kind) word ranges."""

    head: int
    end: int
    start: int
    attributes: list[tuple[int, int, Kind]] = field(default_factory=list)
    count: int | None = None
    negated: bool = False
    role: str = "subject"

    def add(self, first: int, last: int, kind: Kind) -> None:
        """Add an attribute once."""
        if all(a[:2] != (first, last) for a in self.attributes):
            self.attributes.append((first, last, kind))


class Binder:
    """Walks over a tagged prompt and collects its things, relations and ignored words."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.items = items_of(words)
        self.things: list[Thing] = []
        self.relations: list[tuple[Thing, int, Thing]] = []
        self.reasons: dict[int, str] = {}
        self.clause: list[Thing] = []
        self.topic: list[Thing] = []
        self.last: Thing | None = None
        self.copula: list[Thing] = []
        self.link: Item | None = None
        self.negate = False
        self.since_verb: list[Thing] = []
        self.verb_seen = False
        self.shape_like = False
        self.pending: list[Phrase] = []
        self.owner: Thing | None = None
        self.frame = False
        self.property_owner: list[Thing] = []

    def run(self) -> None:
        """Visit every item in order."""
        at = 0
        while at < len(self.items):
            item = self.items[at]
            at = self._phrase(at, item.phrase) if item.phrase is not None else self._word(at, item)

    # -- words between noun phrases -------------------------------------------------------------------------------

    def _word(self, at: int, item: Item) -> int:
        word, tag = self.words[item.at], item.tag
        if tag == ".":
            self._end_sentence()
        elif tag in "BH" or (tag in "VEG" and word.low in LINKING):
            self._verb(item, word, copula=tag != "H")
        elif tag == "J" or (tag in "EG" and self._is_value(item)):
            return self._bare(at, item)
        elif tag == "V":
            self._verb(item, word, copula=False)
            self.copula = self.clause if self.clause else []
            self.weak = True
        elif tag in "EG":
            if word.low not in PAINTED:
                self.copula = []
            self.link = item
        elif tag == "I":
            self.link = item
            self.copula = []
        elif tag == "W":
            if self.last is not None:
                self.clause = [self.last]
            self.since_verb = []
            self.link = None
        elif tag == "O":
            if self.topic and word.low in ("it", "they", "he", "she"):
                self.clause = list(self.topic)
                self.since_verb = []
            self.link = None
        elif tag == "S":
            self.since_verb = []
            self.link = None
        elif tag == "X":
            self.negate = True
        elif tag == ",":
            self.link = None if self.link is not None and self.link.tag != "," else self.link
        return at + 1

    def _is_value(self, item: Item) -> bool:
        return kind_of(self.words[item.at].low) != "other" and self.words[item.at].low not in PAINTED

    def _end_sentence(self) -> None:
        if self.clause:
            self.topic = self.clause
        elif self.since_verb:
            self.topic = self.since_verb[:1]
        self.clause, self.since_verb, self.copula = [], [], []
        self.link, self.negate, self.verb_seen = None, False, False
        self.pending = []
        self.property_owner = []

    def _verb(self, item: Item, word: Word, copula: bool) -> None:
        plural = word.low in _PLURAL_BE or (item.tag in "VH" and not word.low.endswith("s"))
        candidates = [thing for thing in self.since_verb if thing.role == "subject"]
        if self.property_owner:
            self.clause = self.property_owner
            self.property_owner = []
        elif candidates:
            self.clause = candidates if plural else candidates[-1:]
        elif self.since_verb and self.since_verb[-1].role == "joined":
            self.clause = self.since_verb[-1:]
        if word.low != "been" and word.low != "being":
            self.since_verb = []
        self.copula = list(self.clause) if copula else []
        self.link = item
        self.weak = False
        self.verb_seen = True

    weak = False

    def _bare(self, at: int, item: Item) -> int:
        """An adjective outside a noun phrase: predicative, after "painted", or after a noun."""
        word = self.words[item.at]
        kind = kind_of(word.low)
        before = self.items[at - 1] if at else None
        targets: list[Thing] = []
        if self.copula and not (self.weak and kind != "colour"):
            targets = self.copula
        elif self.link is not None and self.words[self.link.at].low in PAINTED and self.last is not None:
            targets = self.clause if self.verb_seen and self.clause else [self.last]
        elif self.last is not None and before is not None and self._apposed(at) and kind != "other":
            targets = [self.last]
        if word.low in STYLE_WORDS:
            self.reasons[item.at] = "style"
        elif self.negate:
            self.reasons[item.at] = "negated"
        elif targets:
            for thing in targets:
                thing.add(item.at, item.at, kind)
        else:
            self.reasons[item.at] = "no object"
        return at + 1

    def _apposed(self, at: int) -> bool:
        """Does the adjective stand after a noun phrase, perhaps with a comma, "and" or other adjectives between?"""
        k = at - 1
        while k >= 0 and self.items[k].tag in "RJ,C":
            k -= 1
        return k >= 0 and self.items[k].tag == "P"

    # -- noun phrases ---------------------------------------------------------------------------------------------

    def _phrase(self, at: int, phrase: Phrase) -> int:
        words = self.words
        head = words[phrase.end - 1].low
        link = words[self.link.at].low if self.link is not None else ""
        base = lemma(head)
        if phrase.headless:
            return self._headless(at, phrase)
        if base in PROPERTIES and self._property(at, phrase, link):
            return at + 1
        if self._skipped(at, phrase, head, base, link):
            return at + 1
        if self._material(at, phrase, link):
            return at + 1
        if (
            base in PARTITIVES
            and self._next_low(at) == "of"
            and at + 2 < len(self.items)
            and self.items[at + 2].phrase is not None
        ):
            inner = self.items[at + 2].phrase
            assert inner is not None
            if not inner.headless:
                inner.modifiers = phrase.modifiers + inner.modifiers
                inner.number = inner.number if inner.number is not None else phrase.number
                inner.start = phrase.start
                self.reasons.update(dict.fromkeys(range(phrase.head, phrase.end), "partitive"))
                return at + 2
        thing = self._make(phrase)
        self._attach(at, thing, link)
        return at + 1

    def _next_low(self, at: int) -> str:
        return self.words[self.items[at + 1].at].low if at + 1 < len(self.items) else ""

    def _headless(self, at: int, phrase: Phrase) -> int:
        nxt = self.items[at + 1] if at + 1 < len(self.items) else None
        if self.copula and phrase.modifiers and phrase.number is None:
            for k in phrase.modifiers:
                for thing in self.copula:
                    thing.add(k, k, kind_of(self.words[k].low))
            return at + 1
        if (
            nxt is not None
            and nxt.tag in "C,"
            and phrase.modifiers
            and at + 2 < len(self.items)
            and self.items[at + 2].phrase is not None
        ):
            self.pending.append(phrase)
            return at + 1
        antecedent = self.last
        if antecedent is not None and (phrase.modifiers or phrase.number is not None or phrase.determiner is not None):
            for k in phrase.modifiers:
                antecedent.add(k, k, kind_of(self.words[k].low))
            if self.words[phrase.end - 1].low in ("one", "other", "another", "both", "two", "three"):
                self.clause = [antecedent]
                self.since_verb = []
        return at + 1

    def _property(self, at: int, phrase: Phrase, link: str) -> bool:
        """ "with a glass texture", "has a red colour", "its colour is red": the values go to the owner of the property."""
        words = self.words
        base = lemma(words[phrase.end - 1].low)
        kind = PROPERTY_KINDS.get(base)
        values = phrase.modifiers + list(range(phrase.head, phrase.end - 1))
        following = self._next_low(at)
        if not values:
            if following == "of" and link == "in":  # in the shape of a heart
                self.shape_like = True
                self.reasons.update(dict.fromkeys(range(phrase.head, phrase.end), "property"))
                self.value_kind = kind
                return True
            self.reasons.update(dict.fromkeys(range(phrase.head, phrase.end), "property"))
            possessive = phrase.determiner is not None and words[phrase.determiner].low in (
                "its",
                "their",
                "his",
                "her",
            )
            if self.owner is not None:
                self.property_owner = [self.owner]
                self.owner = None
            elif possessive and (self.clause or self.topic):
                self.property_owner = self.clause or self.topic
            return True
        has = self.link is not None and self.link.tag == "H"
        if self.owner is not None:
            owners = [self.owner]
            self.owner = None
        elif has or link in ("is", "are", "features", "in"):
            owners = self.clause or ([self.last] if self.last else [])
            if link == "in" and self.last is not None and not self.verb_seen:
                owners = [self.last]
        else:
            owners = [self.last] if self.last is not None else []
        if self.words[values[0]].low in FRAMES:
            return False
        for owner in owners:
            for k in values:
                value_kind = kind_of(words[k].low)
                owner.add(k, k, kind if value_kind == "other" and kind is not None else value_kind)
        reason = "property"
        self.reasons[phrase.end - 1] = reason
        return bool(owners)

    value_kind: Kind | None = None

    def _skipped(self, at: int, phrase: Phrase, head: str, base: str, link: str) -> bool:
        """Phrases that are not objects: the picture itself, its style, a place in it."""
        words = self.words
        span = range(phrase.start, phrase.end)
        following = self._next_low(at)
        first = at == 0 or self.items[at - 1].tag in ".:" or (self.items[at - 1].tag == "," and not self.clause)
        if base in FRAMES or head in FRAMES:
            opener = following in (
                "of",
                "showing",
                "depicting",
                "featuring",
                "with",
                "containing",
                "",
                ",",
                ".",
                "in",
                "displays",
                "shows",
                "depicts",
                "features",
                "contains",
                "has",
                "is",
                "presents",
                "portrays",
                "captures",
                "includes",
                "illustrates",
            )
            if (
                (first and opener)
                or (
                    link in ("in", "of", "within", "throughout", "across")
                    and words[phrase.start].low in ("the", "this", "an", "a")
                    and base
                    in (
                        "image",
                        "picture",
                        "scene",
                        "photo",
                        "frame",
                        "shot",
                        "view",
                        "painting",
                        "drawing",
                        "sketch",
                        "illustration",
                        "photograph",
                        "artwork",
                    )
                    and self.last is not None
                )
                or (link in ("in", "of") and self.frame)
            ):
                self.reasons.update(dict.fromkeys(span, "frame"))
                self.frame = True
                self.link = None
                return True
        if head in STYLES:
            self.reasons.update(dict.fromkeys(span, "style"))
            self.link = None
            return True
        if link in ("in the style of", "in style of", "by") and (self.frame or link != "by") and not phrase.modifiers:
            self.reasons.update(dict.fromkeys(span, "style"))
            return True
        if (
            head in PLACES
            and link in ("in", "on", "at", "to", "from", "into", "near")
            and words[phrase.start].tag == "D"
            and (head != "background" or not phrase.modifiers)
        ):
            self.reasons.update(dict.fromkeys(span, "place"))
            self.link = None
            return True
        return False

    def _material(self, at: int, phrase: Phrase, link: str) -> bool:
        """ "made of dark wood", "a vase of glass", "in the shape of a heart", "dressed in red"."""
        words = self.words
        made = (
            self.link is not None
            and at >= 2
            and self.items[at - 1].tag == "I"
            and words[self.items[at - 2].at].low in MADE
            and link in ("of", "from", "out of", "with", "in")
        )
        joined = at >= 2 and self.items[at - 1].tag in "C," and self.made
        targets = (
            self.made
            if joined
            else (self.clause if self.verb_seen and self.clause else ([self.last] if self.last else []))
        )
        if self.shape_like and link == "of":
            self.shape_like = False
            for thing in targets:
                thing.add(phrase.head, phrase.end - 1, self.value_kind or "shape")
            return True
        if phrase.end - phrase.head != 1 or phrase.determiner is not None:
            self.made = []
            return False
        low = words[phrase.head].low
        material = low in lexicon().materials
        colour = low in lexicon().colours and link in ("of", "in")
        if targets and (
            (made and material)
            or (joined and material)
            or (link == "of" and (material or colour) and phrase.number is None and not phrase.modifiers)
        ):
            for thing in targets:
                for k in phrase.modifiers:
                    thing.add(k, k, kind_of(words[k].low))
                thing.add(phrase.head, phrase.head, "material" if material else "colour")
            self.made = list(targets)
            return True
        self.made = []
        return False

    made: list[Thing] = []

    def _make(self, phrase: Phrase) -> Thing:
        words = self.words
        thing = Thing(phrase.head, phrase.end, phrase.start, negated=negated(words, phrase))
        if phrase.number is not None and number_value(words[phrase.number]) is not None:
            thing.count = phrase.number
        for k in phrase.modifiers:
            if words[k].low in STYLE_WORDS:
                self.reasons[k] = "style"
            else:
                thing.add(k, k, kind_of(words[k].low))
        earlier = self._mentioned(phrase, thing)
        if earlier is not None:
            return earlier
        for extra in self.pending:
            twin = Thing(phrase.head, phrase.end, extra.start, count=extra.number)
            for k in extra.modifiers:
                twin.add(k, k, kind_of(words[k].low))
            self.things.append(twin)
        self.pending = []
        self.things.append(thing)
        return thing

    def _mentioned(self, phrase: Phrase, thing: Thing) -> Thing | None:
        """The thing that a definite phrase without new attributes mentions again."""
        words = self.words
        if phrase.determiner is None or words[phrase.determiner].low not in _DEFINITE:
            return None
        base = lemma(words[phrase.end - 1].low)
        values = {words[k].low for k, _, _ in thing.attributes}
        for other in reversed(self.things):
            if lemma(words[other.end - 1].low) == base and values <= {words[a].low for a, _, _ in other.attributes}:
                return other
        return None

    def _attach(self, at: int, thing: Thing, link: str) -> None:
        """Give the thing its role and its relation to what stands before it."""
        previous = self.items[at - 1] if at else None
        tag = previous.tag if previous is not None else "."
        known = thing in self.since_verb or thing in self.clause
        if self.link is not None and self.link.tag in "IVHEG" and tag not in "C,":
            governor = self.clause[0] if (self.verb_seen and self.clause and not self.since_verb) else self.last
            if self.link.tag == "I" and governor is not None and governor is not thing:
                self.relations.append((governor, self.link.at, thing))
            if not known:
                thing.role = "object"
            if link in ("without", "minus") or self.negate:
                thing.negated = True
        elif tag in "C," and self.last is not None:
            thing.role = "joined" if self.last.role in ("object", "joined") else "subject"
            if tag == "C" and self.last.negated and self.words[previous.at].low in ("or", "nor"):  # type: ignore[union-attr]
                thing.negated = True
        else:
            thing.role = "subject"
        if self.items[at].phrase is not None and self.items[at].phrase.possessive:  # type: ignore[union-attr]
            self.owner = thing
        else:
            self.owner = None
            self.since_verb.append(thing)
            self.link = None
        self.negate = False
        self.copula = []
        self.last = thing
