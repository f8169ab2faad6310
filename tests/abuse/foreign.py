"""Pictures of every format that Pillow opens and nobody here asked for."""

from io import BytesIO

import pillow_heif
from PIL import Image

from tests.pictures import encoded
from tests.unit.sample_images import LIMITS, scene

OURS = {*LIMITS.formats, "MPO"}
"""A camera's pair (MPO) is a JPEG."""
Image.init()
FOREIGN = sorted(set(Image.OPEN) - OURS)
MODES = {"BLP": "P", "MSP": "1", "XBM": "1"}
MADE = {
    "BUFR": b"BUFR",
    "CUR": b"\0\0\2\0\1\0\x10\x10" + bytes(40),
    "DCX": b"\xb1\x68\xde\x3a" + bytes(40),
    "FITS": b"".join(
        line.ljust(80)
        for line in (
            b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 2", b"NAXIS1  = 9", b"NAXIS2  = 9", b"END"
        )
    ).ljust(2880) + bytes(81),
    "FLI": bytes(4) + b"\x11\xaf\1\0\x10\0\x10\0\x08\0\0\0" + bytes(200),
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "FTEX": b"FTEX" + bytes(60),
    "GBR": b"\0\0\0\x1c\0\0\0\2\0\0\0\x09\0\0\0\x09\0\0\0\1GIMP" + bytes(90),
    "GRIB": b"GRIB\0\0\0\1" + bytes(40),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "IMT": b"*\nwidth 9\nheight 9\n\x0c" + bytes(81),
    "IPTC": b"\x1c\3\x3c\0\2\1\0\x1c\3\x14\0\1\x09\x1c\3\x1e\0\1\x09\x1c\x08\x0a\0\1\0",
    "MCIDAS": bytes(7) + b"\4" + bytes(300),
    "MIC": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "MPEG": b"\0\0\1\xb3\x01\0\x10\x10" + bytes(40),
    "PCD": bytes(2048) + b"PCD_OPA" + bytes(2048),
    "PIXAR": b"\x80\xe8\0\0" + bytes(600),
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3" + bytes(400),
    "SUN": b"\x59\xa6\x6a\x95\0\0\0\x09\0\0\0\x09\0\0\0\x18" + bytes(300),
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),
    "XPM": b'/* XPM */\nstatic char *x[] = {\n"9 9 1 1",\n"a c #000000",\n' + b'"aaaaaaaaa",\n' * 9,
    "XVTHUMB": b"P7 332\n#END_OF_COMMENTS\n9 9 255\n" + bytes(81),
}  # fmt: skip
"""Of those that Pillow does not write."""


def foreign(name: str) -> bytes:
    """A picture that Pillow opens as one of this format, or takes for one."""
    if name in MADE:
        return MADE[name]
    return encoded(scene().convert(MODES.get(name, "RGB")), name)


def heic() -> bytes:
    file = BytesIO()
    pillow_heif.from_pillow(scene()).save(file, quality=95)
    return file.getvalue()
