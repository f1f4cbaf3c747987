"""What a row of a workbook means for departments."""

from crm import text
from crm.excel.resource import Resource, register
from crm.excel.widgets import CellProblem, TreeWidget
from crm.models import Department


class AboveWidget(TreeWidget):
    """The department above, which must exist before those below it."""

    def resolve(self, shown, context):
        try:
            return super().resolve(shown, context)
        except CellProblem as error:
            if error.unknown is None:
                raise
            hint = f"没有“{shown[:40]}”这个部门；如果它也在本文件里，请先导入它，再导入它的下级。"
            raise CellProblem(hint, unknown=shown) from error


@register
class DepartmentResource(Resource):
    """Recognised by name below the same department: an import never moves one, so that it never makes a ring."""

    class Meta:
        model = Department
        fields = ["name", "parent", "manager", "sort", "remark"]
        readonly = ["created_at", "updated_at"]
        keys = [("name", "name")]
        titles = {"parent": "上级部门"}
        cells = {"parent": AboveWidget}
        notes = ["上级部门同名时写全路径，例如“总部/华南大区”；上级要先于下级导入。"]
        synonyms = {
            "name": ("部门", "名称", "department"),
            "parent": ("上级", "父部门", "所属部门"),
            "manager": ("主管", "负责人", "经理"),
            "sort": ("顺序", "序号"),
        }
        examples = {"name": "深圳一部", "parent": "总部/华南大区"}

    def key_of(self, values):
        name = text.fold(values.get("name") or "")
        return ("name", str(values.get("parent") or ""), name) if name else None

    def find(self, keys):
        found: dict = {}
        rows = Department._base_manager.values_list("pk", "parent_id", "name", "is_valid") if keys else ()
        for pk, parent, name, valid in rows:
            if (key := ("name", str(parent or ""), text.fold(name))) in keys:
                found.setdefault(key, []).append(pk if valid else -pk)
        return found
