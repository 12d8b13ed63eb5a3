"""Which family handles which kind. To add a container, write its file and add its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from genretagger.files.kinds import Kind
from genretagger.tags.ape import Ape
from genretagger.tags.asf import Asf
from genretagger.tags.container import Container, WriteOptions
from genretagger.tags.dsf import Dsf
from genretagger.tags.flac import Flac
from genretagger.tags.iff import Aiff, Wav
from genretagger.tags.mp3 import Mp3
from genretagger.tags.mp4 import Mp4
from genretagger.tags.ogg import CODECS, Ogg

_FAMILIES: Mapping[str, Callable[[WriteOptions], Container]] = {
    "mp3": lambda options: Mp3(options.id3v23_separator),
    "flac": lambda options: Flac(options.id3v23_separator),
    "mp4": lambda options: Mp4(options.id3v23_separator),
    "ogg": lambda options: Ogg(CODECS["ogg"], options.id3v23_separator),
    "opus": lambda options: Ogg(CODECS["opus"], options.id3v23_separator),
    "speex": lambda options: Ogg(CODECS["speex"], options.id3v23_separator),
    "oggflac": lambda options: Ogg(CODECS["oggflac"], options.id3v23_separator),
    "wav": lambda options: Wav(options.id3v23_separator),
    "aiff": lambda options: Aiff(options.id3v23_separator),
    "dsf": lambda options: Dsf(options.id3v23_separator),
    "asf": lambda options: Asf(options.id3v23_separator),
    "ape": lambda options: Ape(options.id3v23_separator, "ape"),
    "mpc": lambda options: Ape(options.id3v23_separator, "mpc"),
    "mpc8": lambda options: Ape(options.id3v23_separator, "mpc8"),
    "wavpack": lambda options: Ape(options.id3v23_separator, "wavpack"),
    "tak": lambda options: Ape(options.id3v23_separator, "tak"),
}


def container_of(kind: Kind, options: WriteOptions) -> Container | None:
    """The family that reads and writes files of this kind; None if its tags are not known."""
    family = _FAMILIES.get(kind.name)
    return family(options) if family else None
