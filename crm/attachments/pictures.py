"""Pictures to look at, drawn anew from the pixels: nothing of the uploaded bytes reaches a browser."""

from PIL import Image, ImageOps

from crm.attachments.store import PREVIEW, THUMBNAIL
from crm.attachments.types import Mismatch

MEDIA_TYPE = "image/webp"
SIZES = {PREVIEW: 1600, THUMBNAIL: 240}
# more is kept but not drawn; a JPEG is scaled down while it is read
MAX_PIXELS = {"JPEG": 120_000_000}
MAX_PIXELS_OTHERWISE = 40_000_000


def draw(path, format) -> bool:
    """Write preview and thumbnail beside the picture at ``path``; False when it is too large to be drawn.

    Only the decoder of ``format`` is tried. Raises Mismatch for a picture that cannot be read.
    """
    try:
        with Image.open(path, formats=[format]) as picture:
            if picture.width * picture.height > MAX_PIXELS.get(format, MAX_PIXELS_OTHERWISE):
                return False
            picture.draft("RGB", (SIZES[PREVIEW], SIZES[PREVIEW]))
            drawn = ImageOps.exif_transpose(picture)
            for part, edge in SIZES.items():
                drawn.thumbnail((edge, edge))
                _plain(drawn).save(path.with_name(path.name + part), "WEBP", quality=82)
    except Image.DecompressionBombError:
        return False
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Mismatch("图片已损坏，无法打开") from error
    return True


def _plain(picture):
    """The pixels alone; profile, place and camera are not saved unless asked for."""
    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")
