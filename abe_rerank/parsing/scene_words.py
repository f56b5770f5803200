# ruff: noqa: SIM905 - word lists read best as text
"""Words that speak of the picture, of a property or of a place in it, and words that open a construction."""

from __future__ import annotations

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

WRITING = frozenset(
    """says say saying said reads reading read text texts word words letter letters lettering title titled label
    labels labeled
    labelled written writing writes spells spelling spelled sign signs logo caption slogan phrase message
    inscription inscribed quote called named printed print displaying banner poster shirt t-shirt""".split()
)
"""Words that announce writing in the picture; what is quoted after them is no object."""
