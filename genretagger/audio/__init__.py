"""Audio: an open file → the stretches of it that a model listens to.

Aim: exact to the sample where the container allows it, bounded in memory whatever the file claims, silent towards the
user. FFmpeg (PyAV) reads the file object that the caller opened, with the demuxer that the content called for, so it
opens no other file and no address. libsndfile reads what FFmpeg refuses.

Conventions: mono is the plain mean over the channels and the resampler is soxr's "HQ", both as librosa has them,
because the models were trained on that. Time zero is the first sample that the decoder gives,
after the encoder's padding.

The public functions are listed here; `reader.py` says what a reader is, `ffmpeg.py` and `sndfile.py` are the two,
`headers.py` reads what FFmpeg does not tell, `listen.py` puts windows together, `silence.py` measures them.
"""

from genretagger.audio.listen import SHORTEST_S, decode, duration, sample
from genretagger.audio.silence import SILENCE_PEAK, peaks, silent_windows

__all__ = ["SHORTEST_S", "SILENCE_PEAK", "decode", "duration", "peaks", "sample", "silent_windows"]
