"""The models that `train` begins with: the one that listens, and the one that is learned again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from genretagger.cli.trained import learned_part
from genretagger.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from genretagger.model.card import Card
    from genretagger.model.store import ModelStore
    from genretagger.vocabulary.part import LearnedPart, Training


def card_of(store: ModelStore, name: str) -> Card:
    """A model's card; a learned model's also if its network is damaged, as it can be retrained.

    Raises:
        ModelError: there is none that can be used.
    """
    from genretagger.model.card import Card
    from genretagger.model.manifest import CARD

    try:
        return store.get(name).card
    except ModelError:
        with contextlib.suppress(ModelError):
            card = Card.load(store.folder / name / CARD)
            if card.says_learned:
                return card
        raise


def learned(name: str, card: Card) -> tuple[LearnedPart, Training]:
    """Give what training wrote into a model's card.

    Raises:
        ConfigError: the model was not made by training.
    """
    part = learned_part(card)
    training = None if part is None else part.training
    if part is None or training is None or not (training.min_tracks is None or training.min_tracks >= 2):
        raise ConfigError(
            f"the model {name!r} was not learned here, so it cannot be updated",
            hint="Train one: genretagger train --name mine PATH",
        )
    return part, training


def music_places(origin: Training) -> list[Path]:
    """The places of the music that a model was learned from.

    Raises:
        ConfigError: it is gone.
    """
    paths = [Path(text) for text in origin.paths]
    for path in paths:
        if not path.exists():
            raise ConfigError(
                "it was learned from this place, and that is gone",
                path=path,
                hint="Name the music: train --update NAME PATH",
            )
    return paths


def successor(backbone: str) -> str:
    """The model that an update learns on: the default one instead of the former default."""
    from genretagger.model.musicnn import NAME
    from genretagger.model.store import DEFAULT

    return DEFAULT if backbone == NAME else backbone


def backbone_of(store: ModelStore, listens: str, name: str) -> str:
    """The model to analyse with: for a learned model, its backbone.

    Args:
        listens: the model that is asked for, or in use.
        name: what is to be learned; if that is in use already but missing, the default one helps to
            make it again.
    """
    from genretagger.model.store import DEFAULT

    if listens == DEFAULT or (listens == name and not store.holds(name)):
        return DEFAULT
    part = card_of(store, listens).part
    return listens if part is None or part.learned is None else part.learned.backbone.name


def see_may_be_called(store: ModelStore, name: str, backbone: str) -> None:
    """Refuse to replace a model that was not learned here, even if it is unusable.

    Raises:
        ConfigError: the name is taken.
        ModelError: it is not a name for a model.
    """
    from genretagger.model.card import Card
    from genretagger.model.manifest import CARD, PULLABLE

    taken = store.holds(name)
    if taken:
        with contextlib.suppress(ModelError):  # whatever it is, it is not ours to throw away
            taken = not Card.load(store.folder / name / CARD).says_learned
    if taken or name in (*PULLABLE, backbone):
        raise ConfigError(
            f"the name {name!r} belongs to a model that was not learned here", hint="Choose another --name"
        )


def card_if_any(store: ModelStore, name: str) -> Card | None:
    """A model's card; None if there is none that can be used."""
    try:
        return store.get(name).card
    except ModelError:
        return None
