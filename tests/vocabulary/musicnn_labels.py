"""The hundred labels of the default model, in the order of its output, as published."""

from __future__ import annotations

_MSD = """
    rock; pop; alternative; indie; electronic; female vocalists; dance; 00s; alternative rock; jazz; beautiful; metal;
    chillout; male vocalists; classic rock; soul; indie rock; Mellow; electronica; 80s; folk; 90s; chill; instrumental;
    punk; oldies; blues; hard rock; ambient; acoustic; experimental; female vocalist; guitar; Hip-Hop; 70s; party;
    country; easy listening; sexy; catchy; funk; electro; heavy metal; Progressive rock; 60s; rnb; indie pop; sad;
    House; happy
"""
_MTT = """
    guitar; classical; slow; techno; strings; drums; electronic; rock; fast; piano; ambient; beat; violin; vocal; synth;
    female; indian; opera; male; singing; vocals; no vocals; harpsichord; loud; quiet; flute; woman; male vocal;
    no vocal; pop; soft; sitar; solo; man; classic; choir; voice; new age; dance; male voice; female vocal; beats; harp;
    cello; no voice; weird; country; metal; female voice; choral
"""

LABELS = tuple(
    f"{network}/{' '.join(label.split())}"
    for network, names in (("msd", _MSD), ("mtt", _MTT))
    for label in names.split(";")
)

NO_GENRES = frozenset(
    """
    female vocalists; 00s; beautiful; male vocalists; Mellow; 80s; 90s; instrumental; oldies; acoustic; female vocalist;
    guitar; 70s; party; sexy; catchy; 60s; sad; happy; slow; strings; drums; fast; piano; beat; violin; vocal; synth;
    female; male; singing; vocals; no vocals; harpsichord; loud; quiet; flute; woman; male vocal; no vocal; soft; sitar;
    solo; man; voice; male voice; female vocal; beats; harp; cello; no voice; weird; female voice
    """.replace("\n    ", " ")
    .strip()
    .split("; ")
)
"""Those of them that name voices, instruments, decades and moods."""
