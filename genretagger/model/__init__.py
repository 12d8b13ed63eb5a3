"""Models: their input and output (card), where they are (store), how they run (session).

The default model is made from published weights by `musicnn`, which reads them with `checkpoint`;
`download` fetches them, `install` puts the result in place, `providers` knows the hardware.
`Session` is imported from `genretagger.model.session`, because it brings numpy along.
"""

from genretagger.model.card import Card
from genretagger.model.installed import InstalledModel
from genretagger.model.manifest import PULLABLE
from genretagger.model.store import DEFAULT, ModelStore

__all__ = ["DEFAULT", "PULLABLE", "Card", "InstalledModel", "ModelStore"]
