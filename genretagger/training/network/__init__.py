"""Trains a convolutional network on log-mel windows; needs PyTorch, the extra `network`.

`need` says whether PyTorch is there; nothing else of genretagger imports it. `windows` keeps what
was decoded, `ear` and `compact` are the two kinds of networks, `augment` and `loop` train them,
`state` survives a kill, and `learn` puts all of it together, in the runs that `parts` names.
"""
