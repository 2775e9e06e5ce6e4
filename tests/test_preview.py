"""Contact sheets: layout, stretch, captions."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from PIL import Image

from stacchip import preview
from stacchip.errors import UsageError
from stacchip.preview import (
    ChipPicture,
    MissingChip,
    Stretch,
    contact_sheet,
    describe_chip,
    draw_chip,
    rgb_stretch,
)

CHECKS = {tuple(colour) for colour in preview.CHECKS}


def picture(
    values: tuple[int, int] = (0, 1000), size: int = 64, platform: str = "a", **more: object
) -> ChipPicture:
    ramp = np.linspace(*values, size * size).reshape(1, size, size).repeat(3, axis=0)
    return ChipPicture(
        ramp.astype(np.uint16), np.ones((size, size), bool), platform=platform, **more
    )


def find_tiles(sheet: Image.Image) -> list[tuple[int, int]]:
    """Left and top of each tile, by its frame: a straight line in the frame's colour."""
    framed = (np.asarray(sheet) == preview.FRAME).all(axis=-1)
    rows = np.flatnonzero(framed.sum(axis=1) > preview.TILE)
    tops = [row for row in rows if row + preview.TILE + 1 in rows]
    return [
        (col + 1, top + 1)
        for top in tops
        for col in np.flatnonzero(framed[top])
        if framed[top, col : col + preview.TILE + 2].all() and not framed[top, col - 1]
    ]


def test_tiles_lie_on_a_regular_grid() -> None:
    sheet = contact_sheet([picture() for _ in range(7)], columns=3, title="Seven")
    tiles = find_tiles(sheet)
    step = preview.TILE + preview.GUTTER
    assert [left for left, _ in tiles] == [
        preview.MARGIN + column * step for column in (0, 1, 2, 0, 1, 2, 0)
    ]
    assert sheet.width == 2 * preview.MARGIN + 3 * step - preview.GUTTER
    tops = sorted({top for _, top in tiles})
    assert len(tops) == 3
    assert tops[1] - tops[0] == tops[2] - tops[1]
    assert sheet.height > tops[-1] + preview.TILE


def test_rows_make_room_for_their_captions() -> None:
    def row_step(lines: int) -> int:
        chips = [picture(captions=tuple("abcdef"[:lines])) for _ in range(2)]
        (_, first), (_, second) = find_tiles(contact_sheet(chips, columns=1))
        return second - first

    assert row_step(3) - row_step(1) == 2 * round(1.4 * 14)


def test_captions_are_dark_on_light_under_their_chip() -> None:
    with_text = contact_sheet([picture(captions=("A caption", "and more"))], columns=1)
    left, top = find_tiles(with_text)[0]
    below = np.asarray(with_text)[top + preview.TILE + 2 : -preview.MARGIN, left : left + 256]
    assert below.max() == max(preview.PAPER)
    assert below.min() <= min(preview.FAINT_INK)
    assert (below.mean(axis=(0, 1)) > 200).all()


def is_paper(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return bool((np.asarray(sheet.crop(box)) == preview.PAPER).all())


def test_a_long_caption_is_wrapped_and_stays_under_its_chip() -> None:
    sheet = contact_sheet([picture(captions=("W" * 200,)), picture()], columns=2)
    left, top = find_tiles(sheet)[0]
    right, bottom = left + preview.TILE, top + preview.TILE
    assert is_paper(sheet, (right + 2, bottom + 4, right + 16, sheet.height))
    once = contact_sheet([picture(captions=("W",)), picture()], columns=2)
    assert sheet.height > once.height + 5 * 14


def test_ids_that_differ_at_their_end_look_different() -> None:
    item = "S1A_IW_GRDH_1SDV_20191215T004249_20191215T004314_030352_0378DC_rtc_with_a_long_name"
    one, other = (
        contact_sheet([picture(captions=(f"{item}-12-{row}",))], columns=1) for row in (3, 4)
    )
    assert one.size == other.size
    assert np.asarray(one).tolist() != np.asarray(other).tolist()


def test_text_is_wrapped_before_separators_and_none_of_it_is_lost() -> None:
    chipid = "LC09_L2SP_DEMO_20240926_20240927_02_T1-1-0"
    lines = preview._wrap(chipid, 14, 150)
    assert len(lines) > 1
    assert "".join(lines) == chipid
    assert all(line[0] in "_-" for line in lines[1:])
    assert "".join(preview._wrap("W" * 99, 14, 60)) == "W" * 99
    assert preview._wrap("cloud 3%  ·  nodata 25%", 14, 80) == ["cloud 3%", "nodata 25%"]


def test_a_long_title_keeps_its_ends() -> None:
    sheet = contact_sheet([picture()], columns=2, title="T" * 900)
    assert is_paper(sheet, (sheet.width - preview.MARGIN + 2, 0, sheet.width, sheet.height))
    assert preview._shorten("/a/very/long/path/index: 24 chips", 14, 150).startswith("/a/very")
    assert preview._shorten("/a/very/long/path/index: 24 chips", 14, 150).endswith("24 chips")


def test_a_chip_that_could_not_be_cut_is_a_hole_with_the_reason() -> None:
    hole = MissingChip("Item 'a': there is nothing at b.tif.", ("naip",), "naip")
    endless = MissingChip("no end " * 400)
    sheet = contact_sheet([hole, picture(), endless], columns=3)
    for number in (0, 2):
        left, top = find_tiles(sheet)[number]
        tile = np.asarray(sheet)[top : top + preview.TILE, left : left + preview.TILE]
        assert tuple(tile[2, 2]) == preview.HOLE
        assert tile.min() <= max(preview.INK), "dark text"
        edges = (tile[-8:], tile[:8], tile[:, :8], tile[:, -8:])
        assert all((edge == preview.HOLE).all() for edge in edges)
    only_holes = contact_sheet([hole, hole])
    assert only_holes.height > preview.TILE


def test_chips_of_all_sizes_have_the_same_width() -> None:
    sizes = (32, 64, 224, 256, 512)
    chips = [picture(size=size) for size in sizes]
    sheet = np.asarray(contact_sheet(chips, columns=5))
    for left, top in find_tiles(Image.fromarray(sheet)):
        tile = sheet[top : top + 256, left : left + 256, 0].astype(int)
        assert tile[:8].mean() < tile[120:136].mean() < tile[-8:].mean()
        assert tile[-1, -1] > 250


def test_small_chips_keep_their_pixels_square() -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    sheet = contact_sheet([ChipPicture(values, np.ones((8, 8), bool))], columns=1)
    left, top = find_tiles(sheet)[0]
    tile = np.asarray(sheet)[top : top + 256, left : left + 256]
    np.testing.assert_array_equal(
        tile, np.kron(tile[16::32, 16::32], np.ones((32, 32, 1), np.uint8))
    )


def test_a_chip_that_is_not_square_keeps_its_shape() -> None:
    wide = ChipPicture(np.full((3, 20, 40), 9, np.uint8), np.ones((20, 40), bool))
    sheet = contact_sheet([wide], columns=1)
    left, top = find_tiles(sheet)[0]
    tile = np.asarray(sheet)[top : top + 256, left : left + 256]
    checked = np.isin(tile[:, :, 0], [colour[0] for colour in preview.CHECKS]).all(axis=1)
    assert checked[:64].all()
    assert checked[-64:].all()
    assert not checked[64:-64].any()


def test_nodata_is_a_light_checkerboard() -> None:
    valid = np.ones((64, 64), bool)
    valid[:, 32:] = False
    rgb = np.zeros((3, 64, 64), np.uint16)
    rgb[:, :, :32] = np.arange(500, 500 + 32 * 64).reshape(64, 32)
    sheet = contact_sheet([ChipPicture(rgb, valid)], columns=1)
    left, top = find_tiles(sheet)[0]
    tile = np.asarray(sheet)[top : top + 256, left : left + 256]
    assert {tuple(colour) for colour in tile[:, 128:].reshape(-1, 3).tolist()} == CHECKS
    assert not CHECKS & {tuple(colour) for colour in tile[:, :124].reshape(-1, 3).tolist()}


def test_platforms_share_a_stretch_among_themselves_only() -> None:
    dark, bright = picture((100, 400), platform="s2"), picture((400, 1600), platform="s2")
    other = picture((100, 400), platform="landsat")
    sheet = np.asarray(contact_sheet([dark, bright, other], columns=3))
    means = [
        sheet[top : top + 256, left : left + 256].mean()
        for left, top in find_tiles(Image.fromarray(sheet))
    ]
    assert means[0] < 0.6 * means[1]
    assert means[2] > 1.4 * means[0]
    again = np.asarray(contact_sheet([other], columns=3))
    left, top = find_tiles(Image.fromarray(again))[0]
    assert again[top : top + 256, left : left + 256].mean() == pytest.approx(means[2])


def test_stretch_goes_from_the_2nd_to_the_98th_percentile_of_valid_pixels() -> None:
    rgb = np.tile(np.arange(1001.0), (3, 1, 1))
    rgb[:, :, :101] = 90_000.0
    valid = np.ones((1, 1001), bool)
    valid[:, :101] = False
    stretch = rgb_stretch([ChipPicture(rgb, valid)])
    assert (stretch.black, stretch.white) == (pytest.approx(118.98), pytest.approx(982.02))


def test_a_few_clouds_do_not_darken_the_land() -> None:
    land = np.random.default_rng(0).uniform(200, 1500, (3, 100, 100))
    clear = rgb_stretch([ChipPicture(land, np.ones((100, 100), bool))])
    land[:, :15] = 8000.0
    cloudy = rgb_stretch([ChipPicture(land, np.ones((100, 100), bool))])
    assert cloudy.white < 3.6 * clear.white < 8000


def test_colours_stay_true() -> None:
    rgb = np.stack([np.full((8, 8), value) for value in (300.0, 200.0, 100.0)])
    grey = np.full((3, 8, 8), 250.0)
    valid = np.ones((8, 8), bool)
    stretch = rgb_stretch([ChipPicture(rgb, valid), ChipPicture(grey, valid)])
    red, green, blue = stretch.apply(rgb)[0, 0].tolist()
    assert red > green > blue
    assert len(set(stretch.apply(grey)[0, 0].tolist())) == 1


@pytest.mark.parametrize("value", [0, 77])
def test_chips_of_one_colour_and_without_data_are_shown(value: int) -> None:
    flat = np.full((3, 16, 16), value, np.uint8)
    nothing = ChipPicture(flat, np.zeros((16, 16), bool))
    sheet = contact_sheet([ChipPicture(flat, np.ones((16, 16), bool), platform="b"), nothing])
    tiles = find_tiles(sheet)
    pixels = np.asarray(sheet)
    left, top = tiles[0]
    assert set(pixels[top : top + 256, left : left + 256].ravel().tolist()) == {128}
    left, top = tiles[1]
    assert {
        tuple(c) for c in pixels[top : top + 256, left : left + 256].reshape(-1, 3).tolist()
    } == (CHECKS)


def test_nan_is_neither_sampled_nor_a_warning() -> None:
    rgb = np.tile(np.arange(100.0), (3, 1, 1))
    rgb[0, 0, :50] = np.nan
    stretch = rgb_stretch([ChipPicture(rgb, np.ones((1, 100), bool))])
    assert np.isfinite([stretch.black, stretch.white]).all()
    assert stretch.apply(rgb).dtype == np.uint8


def test_bytes_are_not_brightened_twice() -> None:
    as_bytes = ChipPicture(np.zeros((3, 4, 4), np.uint8), np.ones((4, 4), bool))
    assert rgb_stretch([as_bytes]).gamma == 1
    assert rgb_stretch([picture()]).gamma > 1
    assert rgb_stretch([as_bytes], gamma=2.2).gamma == 2.2


def test_gamma_brightens_the_middle_and_keeps_the_ends() -> None:
    ramp = np.tile(np.array([0.0, 50.0, 100.0]), (3, 1, 1))
    plain, bright = (Stretch(0, 100, gamma).apply(ramp)[0, :, 0].tolist() for gamma in (1.0, 2.0))
    assert plain == [0, 128, 255]
    assert bright == [0, 180, 255]


def test_a_single_chip_keeps_its_pixels() -> None:
    valid = np.ones((64, 64), bool)
    valid[0] = False
    drawn = draw_chip(ChipPicture(picture().rgb, valid))
    assert drawn.size == (64, 64)
    assert np.asarray(drawn)[:2, 0, 3].tolist() == [0, 255]


def test_a_sheet_without_chips_says_so() -> None:
    sheet = contact_sheet([], title="Nothing was found")
    assert find_tiles(sheet) == []
    assert np.asarray(sheet).min() < 60
    assert sheet.width > 600


def test_shares_are_told_as_whole_percents_but_never_as_nothing() -> None:
    def told(cloud: float, nodata: float) -> str:
        return describe_chip("p", 0, 0, date(2024, 1, 2), cloud=cloud, nodata=nodata)[2]

    assert told(0.0, 1.0) == "cloud 0%  ·  nodata 100%"
    assert told(1 / 65536, 65535 / 65536) == "cloud < 1%  ·  nodata > 99%"
    assert told(float("nan"), 0.5) == "nodata 50%"


def test_what_cannot_be_shown_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least 1 column, not 0"):
        contact_sheet([picture()], columns=0)
    with pytest.raises(UsageError, match=r"\(4, 8, 8\) and \(8, 8\)"):
        ChipPicture(np.zeros((4, 8, 8)), np.ones((8, 8), bool))
    with pytest.raises(UsageError, match="same window"):
        ChipPicture(np.zeros((3, 8, 8)), np.ones((8, 7), bool))


def test_bands_in_grey_and_in_colour_do_not_share_a_stretch() -> None:
    colour, grey = picture((100, 400)), picture((4000, 16000), shown="band vv")
    sheet = contact_sheet([colour, grey], columns=2)
    one, other = (
        np.asarray(sheet.crop((left, top, left + preview.TILE, top + preview.TILE)))
        for left, top in find_tiles(sheet)
    )
    assert abs(one.mean() - other.mean()) < 8


def test_texts_of_any_length_are_laid_out_in_a_moment():
    long = "x" * 1_000_000
    sheet = contact_sheet([picture(captions=("a", long)), MissingChip(long, (long,))], title=long)
    assert sheet.height < 2000
