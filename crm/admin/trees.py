"""Lists of trees: every node below its parent and indented, unless the reader sorts otherwise."""

from collections import defaultdict

from django.contrib.admin.views.main import ORDER_VAR
from django.utils.html import format_html

from crm.admin.base import ChangeList, ModelAdmin, display


class TreeList(ChangeList):
    def get_results(self, request):
        super().get_results(request)
        rows = list(self.result_list)
        shown = {row.pk for row in rows}
        children = defaultdict(list)
        for row in rows:
            row.depth = 0
            children[row.parent_id if row.parent_id in shown else None].append(row)
        self.result_list = rows if ORDER_VAR in self.params else list(_walk(children, None, 0))


def _walk(children, parent, depth):
    for row in children[parent]:
        row.depth = depth
        yield row
        yield from _walk(children, row.pk, depth + 1)


class TreeAdmin(ModelAdmin):
    """``tree_name`` is the column that shows the tree."""

    list_per_page = 500
    list_display_links = ["tree_name"]

    def get_changelist(self, request, **kwargs):
        return TreeList

    @display(description="名称", ordering="name")
    def tree_name(self, obj):
        return format_html('<span style="margin-left: {}rem">{}</span>', obj.depth * 1.5, obj.name)
