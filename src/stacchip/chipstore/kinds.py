"""Kinds of packs: which planes all chips of a pack have, and in which arrays these lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from stacchip.chipstore.planes import PlaneForm

__all__ = ["AssetPlanes", "PackKind", "PlanePlace"]


class AssetPlanes(NamedTuple):
    """The planes of one asset.

    Attributes:
        asset: Its key.
        form: Their form.
        bands: The number of bands, each a plane.
        is_flagged: True if one more plane, of bytes, says which pixels are valid: 1, else 0. Of
            other assets, the values of the pixels say it.
    """

    asset: str
    form: PlaneForm
    bands: int
    is_flagged: bool

    @property
    def flag_form(self) -> PlaneForm:
        """The form of the plane that says which pixels are valid."""
        return PlaneForm("uint8", self.form.height, self.form.width)


class PlanePlace(NamedTuple):
    """Where planes of each chip lie.

    Attributes:
        array: The number of their array.
        first: The first of them.
        planes: Their number.
    """

    array: int
    first: int
    planes: int


@dataclass(frozen=True)
class PackKind:
    """What chips of one pack have in common.

    Attributes:
        chip_size: Pixels a side of the chips on the grid of their items.
        assets: The assets whose pixels are kept.
    """

    chip_size: int
    assets: tuple[AssetPlanes, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.chip_size, self.assets))

    @cached_property
    def arrays(self) -> dict[PlaneForm, int]:
        """The arrays, by the form of their planes, with the number of planes of a chip."""
        counts: dict[PlaneForm, int] = {}
        for own in self.assets:
            counts[own.form] = counts.get(own.form, 0) + own.bands
            if own.is_flagged:
                counts[own.flag_form] = counts.get(own.flag_form, 0) + 1
        return counts

    @cached_property
    def places(self) -> list[tuple[PlanePlace, PlanePlace | None]]:
        """Where the bands of each asset lie, and the plane that says which pixels are valid."""
        numbers = {form: number for number, form in enumerate(self.arrays)}
        taken = dict.fromkeys(self.arrays, 0)

        def take(form: PlaneForm, count: int) -> PlanePlace:
            place = PlanePlace(numbers[form], taken[form], count)
            taken[form] += count
            return place

        return [
            (take(own.form, own.bands), take(own.flag_form, 1) if own.is_flagged else None)
            for own in self.assets
        ]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each asset."""
        return {own.asset: number for number, own in enumerate(self.assets)}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = [form.name for form in self.arrays]
        assets = []
        for own, (pixels, flags) in zip(self.assets, self.places, strict=True):
            described = {
                "asset": own.asset,
                "dtype": own.form.dtype,
                "bands": own.bands,
                "height": own.form.height,
                "width": own.form.width,
                "array": names[pixels.array],
                "first_plane": pixels.first,
            }
            if flags is not None:
                described |= {"valid_array": names[flags.array], "valid_plane": flags.first}
            assets.append(described)
        return {"chip_size": self.chip_size, "assets": assets}

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> PackKind:
        """Return what `to_dict` made.

        Raises:
            LookupError, TypeError, ValueError: It did not.
        """
        assets = tuple(
            AssetPlanes(
                str(each["asset"]),
                PlaneForm(str(each["dtype"]), int(each["height"]), int(each["width"])),
                int(each["bands"]),
                "valid_array" in each,
            )
            for each in said["assets"]
        )
        kind = cls(int(said["chip_size"]), assets)
        if kind.to_dict()["assets"] != said["assets"]:
            raise ValueError("its planes lie elsewhere")
        return _KINDS.setdefault(kind, kind)


_KINDS: Final[dict[PackKind, PackKind]] = {}
"""Each kind once: what follows from it is found once for all packs."""
