"""The one reader of pictures: training, references, metrics, editing and checks see the same.

Any file becomes upright RGB of 8 bits for a channel. Shapes: (H, W) as the picture is shown.
"""
from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.ppm', '.pgm', '.pbm', '.pnm', '.bmp',
              '.tif', '.tiff', '.webp', '.gif', '.jp2', '.avif')
# Cameras and phones write these; Pillow alone does not read them.
UNREAD_EXTENSIONS = ('.heic', '.heif', '.jxl')
# All that Pillow reads without running another program, as it does for PostScript.
_FORMATS = ('JPEG', 'MPO', 'PNG', 'PPM', 'BMP', 'TIFF', 'WEBP', 'GIF', 'JPEG2000', 'AVIF', 'ICO',
            'PSD', 'QOI', 'HEIF')
_WITH_ALPHA = ('RGBA', 'LA', 'PA', 'RGBa', 'La')
_MEGA = 1_000_000
_ORIENTATION, _ON_ITS_SIDE = 274, (5, 6, 7, 8)      # of EXIF
_FORMATS_OF_16 = ('PNG', 'PPM')     # whose integers of mode 'I' have 16 bits
# Formats that a decoder fills up with grey when they are cut off: start, last part, its end.
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
PNG_START, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND'
_PNG_LAST = b'\0\0\0\0IEND\xaeB`\x82'       # all of the last part
_TIFF_ORDERS = {b'II*\0': '<', b'MM\0*': '>'}      # bytes of the numbers
_TIFF_BITS = 258        # tag: of a number
_TIFF_OFFSETS, _TIFF_LENGTHS = (273, 324), (279, 325)       # tags: of strips, of tiles
# Parts of a PNG that OpenCV passes over or reads in its own way.
_PNG_EXTRAS = (b'tRNS', b'eXIf', b'acTL', b'cICP', b'iTXt', b'zTXt')
_BOX_FORMATS = {b'heic': 'HEIC', b'heix': 'HEIC', b'hevc': 'HEIC', b'heim': 'HEIC', b'heis': 'HEIC',
                b'mif1': 'HEIC', b'msf1': 'HEIC', b'avif': 'AVIF', b'avis': 'AVIF'}


def read_pixels(path: str | os.PathLike, background: str = 'white') -> np.ndarray:
    """Read a picture file; see :func:`decode_image`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a picture; the message does not name the file.
    """
    return decode_image(Path(path).read_bytes(), background=background)


def decode_image(data: bytes, channel_order: str = 'rgb', background: str = 'white') -> np.ndarray:
    """The pixels of a picture file.

    It is turned upright by its EXIF orientation, whatever the format; of an animation or of several
    pages the first is taken. Integers of 16 bits are divided by 257; floating-point numbers and
    wider integers are scaled from the least to the greatest. Palettes, CMYK and 1 bit become RGB.
    JPEG files are decoded by OpenCV, as mmcv does.

    Args:
        data: Content of the file.
        channel_order: 'rgb' or 'bgr'.
        background: Name of the colour that transparent places get.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: If it is no picture, is cut off, has too many pixels (twice
            ``PIL.Image.MAX_IMAGE_PIXELS``), or is of a format that cannot be read.
    """
    check_whole(data)
    header = _open(data)
    if header is None or _suits_opencv(header, data):
        pixels = _decode_by_opencv(data, any_depth=header is None)
        if pixels is not None:
            return pixels if channel_order == 'bgr' else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        if header is None:
            raise ValueError(_unknown(data))
    try:
        pixels = np.array(to_rgb(header, background))
    except Exception as error:      # whatever a decoder raises for broken data
        raise ValueError(first_line(error)) from error
    return pixels if channel_order == 'rgb' else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)


def open_picture(data: bytes) -> Image.Image:
    """A picture file's content as Pillow opens it; of kinds that only OpenCV reads, the pixels.

    Not from a path: Pillow forgets to turn some TIFF files that it maps into memory.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    check_whole(data)
    return _open(data) or Image.fromarray(decode_image(data))


def read_values(path: str | os.PathLike) -> np.ndarray:
    """The values of a picture file as they are stored, upright; for labels, which must not change.

    Returns:
        (H, W), of a colour picture (H, W, channels), in the type of the file.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    try:
        return np.asarray(upright(open_picture(Path(path).read_bytes())))
    except (OSError, SyntaxError) as error:     # of broken data
        raise ValueError(first_line(error)) from error


def shown_size(path: str | os.PathLike) -> tuple[int, int]:
    """Width and height of a picture file once it is upright, without reading its pixels.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    picture = open_picture(Path(path).read_bytes())
    is_turned = picture.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    return picture.size[::-1] if is_turned else picture.size


def format_of(data: bytes) -> str:
    """Pillow's name of the format of a picture file's content, such as 'JPEG'."""
    header = _open(data)
    return 'file of an unknown format' if header is None else str(header.format)


def to_rgb(image: Image.Image, background: str = 'white') -> Image.Image:
    """The first frame of an opened picture of any mode as upright RGB of 8 bits.

    Args:
        image: The picture.
        background: Name of the colour that transparent places get.
    """
    is_16_bits = _has_16_bits(image)        # what is turned has forgotten it
    image = upright(image)
    if image.mode[0] in 'IF':
        image = Image.fromarray(_to_8_bits(np.asarray(image), is_16_bits))
    if is_transparent(image):
        layer = (image.convert('LA') if image.mode == 'La' else image).convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', layer.size, background), layer)
    return image.convert('RGB')


def is_transparent(image: Image.Image) -> bool:
    """Whether an opened picture may have transparent places."""
    return image.mode in _WITH_ALPHA or 'transparency' in image.info


def check_whole(data: bytes) -> None:
    """See that the content of a JPEG, PNG or TIFF file has an end.

    Raises:
        ValueError: If there is no content, or it was cut off.
    """
    if not data:
        raise ValueError('the file is empty')
    if _is_cut_off(data):
        raise ValueError('the file is cut off')


def is_whole_png(path: Path) -> bool:
    """Whether there is a PNG file with its start and its end; its pixels are not read."""
    if not path.is_file() or path.stat().st_size < len(PNG_START + _PNG_LAST):
        return False
    with path.open('rb') as file:
        start = file.read(len(PNG_START))
        file.seek(-len(_PNG_LAST), os.SEEK_END)
        return start == PNG_START and file.read() == _PNG_LAST


def images_below(folder: str | os.PathLike[str], endings: tuple[str, ...] = EXTENSIONS,
                 leave_out: str | os.PathLike[str] | None = None) -> list[Path]:
    """The files of a folder and those below it whose names end like those of pictures.

    Linked folders are followed, but not up again to a folder that holds the link. Names that begin
    with a dot are no pictures (macOS writes such ones beside each file).

    Args:
        folder: Where to search.
        endings: Lower case; names may be upper case.
        leave_out: A folder that is not searched, for example of copies.

    Returns:
        The files, sorted.
    """
    closed = None if leave_out is None else os.path.realpath(leave_out)
    found, top = [], os.fspath(folder)
    for parent, folders, files in os.walk(top, followlinks=True):
        above = set(_real_folders(top, parent))
        real = {name: os.path.realpath(os.path.join(parent, name)) for name in folders}
        folders[:] = [name for name in folders if not _is_closed(real[name], closed, above)]
        found += [Path(parent, name) for name in files
                  if not name.startswith('.') and name.lower().endswith(endings)]
    return sorted(path for path in found if path.is_file())


def shown_name(path: str | os.PathLike) -> str:
    """A path for messages and logs: what is not UTF-8 in its name is spelt as an escape."""
    return os.fspath(path).encode('utf-8', 'backslashreplace').decode()


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _open(data: bytes) -> Image.Image | None:
    """The header of a picture; None if Pillow does not know the format."""
    try:
        Image.init()        # registers all formats, once
        return Image.open(io.BytesIO(data), formats=[f for f in _FORMATS if f in Image.OPEN])
    except Image.DecompressionBombError:
        assert Image.MAX_IMAGE_PIXELS is not None, 'such an error has a limit'
        limit = 2 * Image.MAX_IMAGE_PIXELS / _MEGA
        raise ValueError(f'more than {limit:.0f} megapixels: cut it into tiles, or raise '
                         'PIL.Image.MAX_IMAGE_PIXELS') from None
    except Exception:       # Pillow raises errors of many kinds for a broken header
        return None


def _suits_opencv(header: Image.Image, data: bytes) -> bool:
    """What OpenCV is faster at, or ImageNet has always been read with, to the same pixels."""
    if header.format in ('JPEG', 'MPO'):
        return True
    return (header.format == 'PNG' and header.mode in ('RGB', 'L') and data[24] == 8
            and not any(part in data for part in _PNG_EXTRAS))


def _decode_by_opencv(data: bytes, any_depth: bool) -> np.ndarray | None:
    """(H, W, 3) BGR; None if OpenCV does not know the format."""
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if any_depth else 0)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(first_line(error)) from error
    if pixels is None or pixels.dtype == np.uint8:
        return pixels
    return _to_8_bits(pixels, is_16_bits=pixels.dtype == np.uint16)


def upright(image: Image.Image) -> Image.Image:
    """An opened picture, turned by its EXIF orientation if that can be read."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:       # a broken EXIF block does not make pixels unreadable
        return image


def _has_16_bits(image: Image.Image) -> bool:
    """Whether the file of an opened picture has integers of 16 bits; Pillow widens some of them."""
    if image.mode == 'I' and image.format == 'TIFF':
        return image.getexif().get(_TIFF_BITS) == 16
    return image.mode.startswith('I;16') or image.mode == 'I' and image.format in _FORMATS_OF_16


def _to_8_bits(values: np.ndarray, is_16_bits: bool) -> np.ndarray:
    """Integers of 16 bits by a fixed factor, everything else from its minimum to its maximum."""
    if is_16_bits and values.min() >= 0:
        return (values // 257).astype(np.uint8)
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    if np.isnan(values).all():
        raise ValueError('no value is a finite number')
    low, high = np.nanmin(values), np.nanmax(values)
    return np.nan_to_num((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)


def _is_cut_off(data: bytes) -> bool:
    if data.startswith(_JPEG_START):
        # Bytes may follow the end mark, and a preview inside the file has one of its own; but
        # none stands in the data of a scan.
        return not data.endswith(_JPEG_END) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    if data[:4] in _TIFF_ORDERS:
        return _tiff_is_cut_off(data, _TIFF_ORDERS[data[:4]])
    return data.startswith(PNG_START) and _PNG_END not in data[-64:] and _PNG_END not in data


def _tiff_is_cut_off(data: bytes, order: str) -> bool:
    """Whether the first page's table, or a part of its pixels, lies beyond the end of a TIFF."""
    try:
        (start, ) = struct.unpack_from(f'{order}I', data, 4)
        (count, ) = struct.unpack_from(f'{order}H', data, start)
        tags = {}
        for entry in range(count):
            tag, kind, number = struct.unpack_from(f'{order}HHI', data, start + 2 + 12 * entry)
            form = {3: 'H', 4: 'I'}.get(kind)
            place = start + 10 + 12 * entry
            if tag in _TIFF_OFFSETS + _TIFF_LENGTHS and form is not None:
                if number * struct.calcsize(form) > 4:
                    (place, ) = struct.unpack_from(f'{order}I', data, place)
                tags[tag] = struct.unpack_from(f'{order}{number}{form}', data, place)
        struct.unpack_from(f'{order}I', data, start + 2 + 12 * count)
    except struct.error:
        return True
    parts = [(tags.get(offsets, ()), tags.get(lengths, ()))
             for offsets, lengths in zip(_TIFF_OFFSETS, _TIFF_LENGTHS, strict=True)]
    return any(offset + length > len(data) for pair in parts
               for offset, length in zip(*pair, strict=False))


def _unknown(data: bytes) -> str:
    """Why nothing knows the format of this content."""
    name = _BOX_FORMATS.get(data[8:12]) if data[4:8] == b'ftyp' else None
    if name is not None:
        return f'{name}, which cannot be read here: convert it to JPEG or PNG'
    if data.startswith((b'\xff\x0a', b'\x00\x00\x00\x0cJXL ')):
        return 'JPEG XL, which cannot be read here: convert it to JPEG or PNG'
    return 'not an image'


def _is_closed(folder: str, closed: str | None, above: set[str]) -> bool:
    return folder == closed or any(os.path.commonpath([folder, path]) == folder for path in above)


def _real_folders(top: str, folder: str) -> Iterator[str]:
    """The real places of a folder and of those above it, up to ``top``."""
    while len(folder) >= len(top):
        yield os.path.realpath(folder)
        folder = os.path.dirname(folder)
