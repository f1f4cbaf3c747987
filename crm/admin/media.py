"""One order for the scripts of a page.

Unfold and Django list the same libraries in opposite orders where select2 has a translation, and the merged order may
then load jQuery's ``noConflict`` before what needs jQuery.
"""

from django.forms import Media

_RANKS = ("jquery/jquery", "select2/select2", "select2/i18n", "jquery.init.js")
_TWICE = {"admin/js/vendor/select2/select2.full.min.js": "admin/js/vendor/select2/select2.full.js"}


def ordered(media: Media) -> Media:
    """The same files: jQuery, select2, its translation, ``jquery.init.js``, then the rest as they came, each once."""
    scripts = list(dict.fromkeys(script for scripts in media._js_lists for script in scripts))
    scripts = [script for script in scripts if _TWICE.get(str(script)) not in scripts]
    return Media(css=media._css, js=sorted(scripts, key=_rank))


def _rank(script) -> int:
    name = str(script)
    return next((rank for rank, part in enumerate(_RANKS) if part in name), len(_RANKS))
