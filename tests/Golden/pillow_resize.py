"""Values that Pillow and torchvision give, as SHA-256 of the 8-bit result.

/usr/bin/python3 tests/Golden/pillow_resize.py resize preprocess > tests/Golden/pillow_resize.txt

The picture of a size is made by a rule that the tests repeat: byte i is bits 13 to 20 of i * 2654435761 modulo 2^32.
Pillow 9.4.0 and torchvision 0.14.1 wrote the file that lies beside this one.
"""
import hashlib
import sys

from PIL import Image

RESIZE = [  # width, height, channels, new width, new height
    (451, 300, 3, 224, 149), (300, 451, 3, 256, 385), (64, 48, 3, 224, 224), (31, 17, 3, 31, 9), (31, 17, 3, 16, 17),
    (7, 5, 3, 1, 1), (1, 1, 3, 5, 3), (2, 3, 3, 64, 1), (1000, 40, 3, 10, 60), (129, 65, 1, 64, 33), (33, 9, 1, 100, 100),
    (640, 427, 3, 383, 256), (500, 7, 1, 499, 6),
]
PREPROCESS = [  # width, height, shorter side, cut-out
    (451, 300, 256, 224), (300, 451, 256, 224), (225, 225, 256, 224), (640, 427, 232, 224), (257, 1000, 256, 224), (100, 37, 32, 32),
    (32, 32, 32, 32), (33, 500, 183, 160), (481, 321, 236, 224),
]
FILTERS = {"Bilinear": 2, "Bicubic": 3}


def picture(width, height, channels):
    data = bytes((i * 2654435761 % 2**32 >> 13) & 255 for i in range(width * height * channels))
    return Image.frombytes("RGB" if channels == 3 else "L", (width, height), data)


def sha(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


if "resize" in sys.argv:
    for w, h, c, tw, th in RESIZE:
        for name, number in FILTERS.items():
            print("resize", w, h, c, tw, th, name, sha(picture(w, h, c).resize((tw, th), number)))
if "preprocess" in sys.argv:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    modes = {"Bilinear": InterpolationMode.BILINEAR, "Bicubic": InterpolationMode.BICUBIC}
    for w, h, resize, crop in PREPROCESS:
        for name, mode in modes.items():
            print("preprocess", w, h, 3, resize, crop, name, sha(Compose([Resize(resize, mode), CenterCrop(crop)])(picture(w, h, 3))))
