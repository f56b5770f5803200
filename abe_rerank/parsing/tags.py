"""The parts of speech that the parser tells apart, and the groups of them that its rules speak of."""

from __future__ import annotations

from enum import StrEnum


class Tag(StrEnum):
    """The part of speech of a word, or the kind of mark it is. The letters are those of the word lists in ``data``."""

    DETERMINER = "D"
    NUMBER = "#"
    ADJECTIVE = "J"
    NOUN = "N"
    VERB = "V"
    """A finite or base verb."""
    ING = "G"
    """A participle in -ing."""
    PARTICIPLE = "E"
    """A past participle."""
    BE = "B"
    HAVE = "H"
    MODAL = "M"
    ADVERB = "R"
    PREPOSITION = "I"
    """Also a relation of several words ("on top of")."""
    AND = "C"
    """A coordination: "and", "or", "&"."""
    PRONOUN = "O"
    RELATIVE = "W"
    SUBORDINATOR = "S"
    TO = "T"
    NOT = "X"
    POSSESSIVE = "'"
    COMMA = ","
    STOP = "."
    """The end of a sentence or line; also what lies beyond the ends of a prompt."""
    MARK = ":"
    """Any other punctuation."""
    QUOTED = "Q"
    """Writing in the picture, between quotation marks."""
    FOREIGN = "Y"
    """Symbols and scripts other than Latin."""
    PHRASE = "P"
    """Not a word: a whole noun phrase among the items of a prompt."""


(
    DETERMINER,
    NUMBER,
    ADJECTIVE,
    NOUN,
    VERB,
    ING,
    PARTICIPLE,
    BE,
    HAVE,
    MODAL,
    ADVERB,
    PREPOSITION,
    AND,
    PRONOUN,
    RELATIVE,
    SUBORDINATOR,
    TO,
    NOT,
    POSSESSIVE,
    COMMA,
    STOP,
    MARK,
    QUOTED,
    FOREIGN,
    PHRASE,
) = Tag  # read thousands of times for a prompt: an attribute of an Enum costs seven times as much


def tags(letters: str) -> frozenset[Tag]:
    """The group of tags with these letters."""
    return frozenset(map(Tag, letters))


PARTICIPLES = tags("EG")
VALUES = tags("JEG")
"""What can stand before a noun as an attribute."""
JOINING = tags("C,")
PUNCTUATION = tags(".,:'")
