"""Images of the pipeline, as its contracts send them."""

import httpx
from PIL import Image

from tests.integration.calls import FINAL
from tests.pictures import encoded
from tests.processes import until

UNKNOWN = "0199aaaa-0000-7000-8000-000000000000"


def upload(http: httpx.Client, data: bytes, name: str = "cat.png", **fields: str) -> httpx.Response:
    return http.post("/api/images", files={"file": (name, data, "image/png")}, data=fields)


def processed(http: httpx.Client, response: httpx.Response) -> dict:
    """The whole image, once it is final."""
    assert response.status_code == 202, response.text
    url = f"/api/images/{response.json()['image_id']}"
    until(lambda: http.get(url).json()["status"] in FINAL, what="end of the image")
    return http.get(url).json()


def photograph(width: int = 300, height: int = 150, *, kind: str = "JPEG") -> bytes:
    """A picture that a camera has turned and signed, and that says where it was taken."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Acme", "Camera 3000", 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (48.0, 51.0, 30.0), "W", (2.0, 17.0, 42.0)
    picture = Image.new("RGB", (width, height), "navy")
    picture.paste("orange", (0, 0, width // 2, height))
    return encoded(picture, kind, exif=exif)
