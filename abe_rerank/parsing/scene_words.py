"""The closed word classes, and the words that speak of the picture, of a property, of a place in it."""

# ruff: noqa: SIM905 (word lists are read as words)
from __future__ import annotations

from abe_rerank.parsing.tags import Tag
from abe_rerank.types import Kind

FRAMES = frozenset(
    """photo photograph photography image picture pic painting drawing sketch illustration render rendering
    rendition depiction
    portrait scene shot close-up closeup snapshot artwork art view screenshot poster wallpaper cartoon comic
    clipart clip-art
    watercolor watercolour engraving etching selfie footage video frame composition visual graphic collage mural fresco
    caricature doodle woodcut linocut lithograph foreground background still""".split()
)
"""Nouns of the picture itself; not objects where they open a prompt ("a photo of") or stand after "in the"."""

FRAME_OPENERS = frozenset(
    """of showing depicting featuring with containing capturing displaying presenting in by from displays
    shows depicts
    features contains has is presents portrays captures includes illustrates represents where that which , .
    :""".split()
) | {"in the style of", "in style of"}

_PROPERTIES: dict[Kind, str] = {
    "texture": "texture pattern finish sheen",
    "colour": "colour color coloring colouring coloration colouration hue shade tone tint",
    "shape": "shape",
    "size": "size",
    "material": "material",
}
PROPERTY_KINDS: dict[str, Kind] = {noun: kind for kind, nouns in _PROPERTIES.items() for noun in nouns.split()}
"""Nouns of a property: "with a glass texture", "its colour is red"."""

STYLES = frozenset(
    """style styles manner fashion aesthetic aesthetics vibe mood atmosphere technique medium vein look feel
    quality resolution
    lighting focus detail details perspective angle exposure bokeh artstation engine palette realism
    impressionism surrealism cubism expressionism minimalism depth-of-field contrast""".split()
)
"""Heads of phrases about style."""

PLACES = frozenset(
    """left right top bottom front back side sides foreground background middle center centre edge corner distance rear
    end midst ground way""".split()
)
"""Nouns of a place in the picture, not objects after "in", "on", "at", "to"."""

PARTITIVES = frozenset("piece pair slice bit chunk kind type sort".split())
"""Nouns whose attributes belong to what follows "of"."""

PAINTED = frozenset(
    """painted dyed coloured colored tinted stained glazed enamelled lacquered shaded tinged bathed spray-painted
    hued dressed clad""".split()
)
"""Participles with a colour as complement: "a car painted red", "dressed in black"."""

MADE = frozenset(
    """made built constructed crafted carved formed fashioned composed sculpted cut woven knitted knit crocheted
    assembled
    cast moulded molded forged consisting created sewn""".split()
)
"""Participles with a material as complement: "made of wood"."""

LINKING = frozenset(
    """look looks looked appear appears appeared seem seems seemed become becomes became turn turns turned
    turning stay stays
    remain remains get gets grow grows feel feels looking appearing becoming""".split()
)
"""Verbs that link an adjective to their subject as "is" does."""

GENITIVES = frozenset("mans womans mens womens childs childrens persons peoples babys ladys boys girls guys".split())
"""Nouns that before another noun are owners whose apostrophe was left out."""

STYLE_WORDS = frozenset(
    """photorealistic photo-realistic realistic hyperrealistic hyper-realistic cinematic detailed hyperdetailed
    ultra-detailed
    hyper-detailed high-quality high-contrast high-definition well-lit 4k 8k 16k hd uhd hdr masterpiece
    best-quality award-winning
    trending artstation octane unreal sharp-focus bokeh surreal abstract minimalist minimalistic impressionist
    impressionistic
    expressionist cubist surrealist surrealistic photographic stylized stylised aesthetic volumetric artistic dslr
    high-resolution high-res highres wide-angle three-quarters cropped zoomed-in""".split()
)
"""Words about how the picture is made, never attributes."""

STATED = frozenset(
    """placed positioned situated located set shown depicted seen displayed arranged parked seated perched
    mounted attached
    connected used found captured presented portrayed illustrated rendered done drawn taken held kept left given
    featured
    surrounded covered filled lit based designed created made built involved included engaged gathered scattered
    stacked
    lined topped reflected cast framed accompanied centered centred combined divided separated hung held""".split()
)
"""Participles that after "is" say where or how something is, not what it is like."""

UNBOUND = frozenset(
    """same different various other first second third fourth last next main own entire whole exact particular certain
    respective additional overall usual typical visible present evident likely able similar apparent available
    distinguishable
    several identical alternating middle such many few more most only sure nearby further adjacent opposite
    left right top bottom front back
    rear ready due subject distinct separate individual total possible reminiscent suggestive alone""".split()
)
"""Adjectives that say nothing one could see on an object: order, identity, place."""

ORDERED = frozenset(
    """left right middle upper lower front back top bottom center centre first second third last""".split()
)
"""Words that tell one thing from others of its kind by its place or number."""

WRITING = frozenset(
    """says say saying said reads reading read text texts word words letter letters lettering title titled label
    labels labeled
    labelled written writing writes spells spelling spelled sign signs logo caption slogan phrase message
    inscription inscribed quote called named printed print displaying banner poster shirt t-shirt""".split()
)
"""Words that announce writing in the picture; what is quoted after them is no object."""

TEXTS = frozenset(
    """text texts word words letter letters lettering title caption slogan phrase message inscription label labels
    quote logo""".split()
)
"""Those of them that name the writing itself, not what it stands on."""


_WORDS = {
    "D": "a an the this these those some any several many few both all each every another other various numerous "
    "multiple "
    "my your his her its our their whose no half such enough more most",
    "C": "and or & nor plus",
    "B": "is are was were be been being am 's're",
    "H": "has have had having",
    "M": "can could will would shall should may might must do does did cannot",
    "O": "it he she they i you we him them me us itself himself herself themselves who someone something "
    "everything nothing somebody anybody "
    "everyone nobody anything there",
    "W": "that which whom where",
    "S": "while as when because if but so than though although since until unless whereas",
    "T": "to",
    "X": "not n't never neither",
    "R": "very quite rather too also just only slightly really extremely mostly partly partially fully completely "
    "entirely "
    "almost nearly still now here then exactly precisely directly immediately brightly together apart away back "
    "side-by-side once again even perfectly beautifully well approximately roughly about",
    "I": "of in on at by with without from into onto over under above below beneath behind between among amid "
    "amidst beside "
    "besides near inside outside within around along across through throughout against toward towards upon underneath "
    "atop behind past off up down out beyond opposite alongside via for during after before versus vs like featuring "
    "wearing holding carrying containing including showing depicting except minus",
}
_RELATIONS = """on top of, at the top of, to the left of, on the left of, to the right of, on the right of, left
of, right of,
    on the left side of, on the right side of, to the left side of, to the right side of, at the left of, at the
    right of, on the side of, at the side of, by the side of, in front of, in the front of, in back of, at the back
    of, in the back of, behind of, next to, close to, adjacent to, nearby to, in the middle of, in the center of, in
    the centre of, at the center of, at the centre of, in between, inside of, outside of, on the bottom of, at the
    bottom of, on the edge of, at the edge of, on the inside of, on the outside of, in the corner of, at the foot
    of, at the end of, on the back of, on the surface of, out of, off of, from behind, on both sides of, across
    from, away from, far from, close by, underneath of, instead of, along with, together with, accompanied by,
    surrounded by, in the midst of, opposite to, up to, facing toward, to the side of, to the north of, on either
    side of, outside the boundary of, outside the boundaries of, against the backdrop of, because of, as well as,
    rather than, such as, other than, in the style of, in style of, right next to, up against, in contrast to, in
    addition to, according to, due to, on the other side of, as if, so that"""
_ADVERBIALS = """side by side, next to each other, one another, each other, on top of each other, back to back,
face to face,
    hand in hand, at least, at most, of course, for example, up close, close up, in detail, at all, out of focus, in
    focus, in the air, at night, by itself, on its own, in total, a lot, a bit, a little bit, in a row, in a line"""
_QUANTITIES = """a lot of, lots of, a couple of, a few, a number of, dozens of, hundreds of, thousands of, plenty
of, a handful
    of, a dozen, a half dozen, half a dozen, one of, two of, three of, some of, many of, most of, each of, all of,
    both of, none of, a variety of, a series of, an array of"""
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
)

NUMBER_VALUES: dict[str, int] = {word: value for value, word in enumerate(_NUMBERS.split())}
NUMBER_VALUES |= {
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
    "a dozen": 12, "dozen": 12, "half a dozen": 6, "a half dozen": 6, "single": 1,
    "a couple of": 2, "couple of": 2, "pair of": 2, "both": 2, "twin": 2, "two of": 2, "three of": 3, "one of": 1,
}  # fmt: skip

NEGATORS = frozenset({"no", "without", "not", "n't", "never", "neither", "nor", "minus", "zero", "except", "none of"})

IRREGULAR_PARTICIPLES = frozenset(
    """made lit built hung held kept left lost worn torn broken frozen fallen grown thrown blown drawn shown
    woven driven
    ridden written hidden eaten bitten beaten cut set put bent spread split spun wound bound ground found caught
    bought brought
    taught thought sold told cast burnt spilt spoilt dealt felt knit laid lain led lent met paid risen sewn
    shaken shot shut
    slain sliced sprung stolen strewn strung stuck stung sunk swept swollen sworn sown sung taken trodden
    understood undone woken clad
    shaven shrunk chosen carven molten inlaid overgrown outspread unmade upheld withdrawn begun flown forgotten
    given gone known seen spoken sat stood fed dug fought dug run come become""".split()
)


def _table() -> dict[str, tuple[Tag, ...]]:
    table: dict[str, str] = {}
    for tag, words in _WORDS.items():
        table.update(dict.fromkeys(words.split(), tag))
    for text, tag in ((_RELATIONS, "I"), (_ADVERBIALS, "R"), (_QUANTITIES, "D")):
        table.update({" ".join(entry.split()): tag for entry in text.split(",")})
    table.update(dict.fromkeys(NUMBER_VALUES, "#"))
    table.update(
        {
            "can": "MN",
            "both": "D",
            "a few": "D",
            "as well as": "C",
            "couple of": "#",
            "an": "D",
            "'s": "'",
            "'": "'",
        }
    )
    return {text: tuple(map(Tag, letters)) for text, letters in table.items()}


CLOSED: dict[str, tuple[Tag, ...]] = _table()
