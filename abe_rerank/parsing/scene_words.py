"""Nouns and words that speak of the picture, of a property or of a place in it, and are not objects of the scene."""

from __future__ import annotations

FRAMES = frozenset(
    """photo photos photograph photographs photography image images picture pictures pic painting paintings drawing drawings sketch
    sketches illustration illustrations render rendering renders rendition depiction portrait portraits scene scenes shot shots
    close-up closeup snapshot artwork art view views screenshot poster wallpaper cartoon comic clipart clip-art watercolor watercolour
    engraving print etching still stock-photo selfie footage video frame depiction composition visual graphic concept-art collage
    mural fresco caricature doodle""".split()
)
PROPERTIES = frozenset(
    """texture textures colour colours color colors coloring colouring shape shapes size sizes material materials pattern patterns finish finishes hue hues
    shade shades tone tones appearance form sheen coloration colouration print prints exterior""".split()
)
PROPERTY_KINDS = {
    "texture": "texture", "pattern": "texture", "finish": "texture", "sheen": "texture", "print": "texture",
    "colour": "colour", "color": "colour", "coloring": "colour", "colouring": "colour", "hue": "colour", "shade": "colour", "tone": "colour", "coloration": "colour",
    "colouration": "colour", "shape": "shape", "form": "shape", "size": "size", "material": "material",
}  # fmt: skip
STYLES = frozenset(
    "style styles manner fashion aesthetic vibe mood atmosphere technique medium vein look feel quality resolution".split()
)
PLACES = frozenset(
    """left right top bottom front back side sides foreground background middle center centre edge corner distance rear
    end midst""".split()
)
PARTITIVES = frozenset("piece pieces pair pairs slice slices bit bits chunk chunks kind type sort".split())
PAINTED = frozenset(
    """painted dyed coloured colored tinted stained colored-in coloured-in glazed enamelled lacquered shaded tinged bathed spray-painted
    colour-coded hued dressed clad""".split()
)
MADE = frozenset(
    "made built constructed crafted carved formed fashioned composed sculpted cut woven knitted knit crocheted assembled cast moulded molded forged constructed consisting created sewn".split()
)
LINKING = frozenset(
    """look looks looked appear appears appeared seem seems seemed become becomes became turn turns turned turning stay stays remain remains
    get gets grow grows feel feels looking appearing becoming""".split()
)
STYLE_WORDS = frozenset(
    """photorealistic realistic hyperrealistic hyper-realistic cinematic detailed hyperdetailed ultra-detailed high-quality
    4k 8k 16k hd uhd hdr masterpiece best-quality award-winning trending artstation octane unreal sharp-focus bokeh
    surreal abstract minimalist minimalistic impressionist expressionist cubist surrealist digital photographic stylized stylised aesthetic
    volumetric artistic dslr high-resolution high-res highres""".split()
)
