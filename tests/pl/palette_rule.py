"""The rule behind the colours of `pl.palette`, to compute them again: ``python tests/pl/palette_rule.py``.

After eight given colours, each further colour is the candidate farthest from all colours before it and from black,
white and light grey. The rule is stated in the documentation of `pl.palette`.

Sources: B. Ottosson, "A perceptual color space for image processing" (2020), for Oklab; G. Machado, M. Oliveira and
L. Fernandes, IEEE Transactions on Visualization and Computer Graphics 15 (2009) 1291-1298, for deficient vision.
"""

import numpy as np

GIVEN = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#332288", "#7f7f7f")
BACKGROUND = ("#000000", "#ffffff", "#c8c8c8")  # text, paper and pl.GREY
STEP = 15  # of the channels of a candidate
LIGHTNESS, CHROMA = (1 / 3, 0.9), 0.25  # of a candidate
HUE_WEIGHT, DEUTERANOPE_WEIGHT = 1.7, 1.5

# Linear sRGB to cone responses, and their cube roots to lightness, green-red and blue-yellow.
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])
TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]])
VISION = {  # of linear sRGB, complete deficiency
    "normal": np.eye(3),
    "protanope": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                           [-0.003882, -0.048116, 1.051998]]),
    "deuteranope": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                             [-0.011820, 0.042940, 0.968881]]),
    "tritanope": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                           [0.004733, 0.691367, 0.303900]]),
}


def channels(colors):
    """Hexadecimal colours as (n, 3) sRGB from 0 to 1."""
    return np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in colors])


def oklab(srgb, vision="normal"):
    """sRGB colours (n, 3) in Oklab, as seen with the given vision."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISION[vision].T, 0, 1)
    return np.cbrt(seen @ TO_CONES.T) @ TO_OKLAB.T


def views(srgb):
    """sRGB colours (n, 3) as the rule compares them, in normal vision and for a deuteranope: (2, n, 3)."""
    scale = np.array([1 / HUE_WEIGHT, 1, 1])
    return np.stack([oklab(srgb) * scale, DEUTERANOPE_WEIGHT * oklab(srgb, "deuteranope") * scale])


def distances(first, second):
    """The rule's distance of all of some `views` (2, n, 3) from all of others (2, m, 3): (n, m)."""
    return np.linalg.norm(first[:, :, None] - second[:, None], axis=-1).min(axis=0)


def candidates():
    """sRGB colours (n, 3) that the rule may choose."""
    levels = np.arange(0, 256, STEP) / 255
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, *hue = oklab(colors).T
    return colors[(lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1]) & (np.hypot(*hue) <= CHROMA)]


def computed(n_colors=40):
    """The first ``n_colors`` colours of the palette, by the rule: list of str."""
    colors = candidates()
    seen = views(colors)
    nearest, chosen = distances(seen, views(channels(GIVEN + BACKGROUND))).min(axis=1), []
    while len(GIVEN) + len(chosen) < n_colors:
        best = int(nearest.argmax())
        chosen.append("#" + "".join(f"{level:02x}" for level in np.rint(255 * colors[best]).astype(int)))
        nearest = np.minimum(nearest, distances(seen, seen[:, [best]])[:, 0])
    return [*GIVEN, *chosen]


if __name__ == "__main__":
    print(*computed(), sep="\n")
