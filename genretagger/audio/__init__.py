"""Audio: an open file → the stretches of it that the model infers from.

Aim: exact to the sample if the container allows it, bounded in memory whatever the file claims, no
output for the user. FFmpeg (PyAV) reads the file object that the caller opened, with the demuxer
that matches the content, so it opens no other file and no address. libsndfile reads files that
FFmpeg refuses.

Conventions: mono is the plain mean over the channels and the resampler is soxr's "HQ", both as in
librosa, because the models were trained on that. Time zero is the first sample that the decoder
returns, after the encoder's padding.

`listen.py` puts windows together, `silence.py` measures them, `reader.py` defines a reader,
`ffmpeg.py` and `sndfile.py` are the two readers, `headers.py` reads lengths that FFmpeg does not
report. `mel.py` and `windows.py` need no decoder and load none.
"""
