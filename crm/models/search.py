"""The side table of the search. Read and written by ``crm.search`` alone."""

from django.db import models


class FoldedTextField(models.TextField):
    """Text compared character by character on every database."""

    def db_type(self, connection):
        kind = super().db_type(connection)
        return f"{kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if connection.vendor == "mysql" else kind


class SearchEntry(models.Model):
    """What one record is found by: a line of folded text for each of its names, codes and numbers.

    ``id`` holds kind and number of the record in one (``crm.search.registry.Declaration.base``), so that an entry, its
    tokens and its record are joined by primary keys. ``is_settled``: its tokens are in the full-text table; until then
    the text itself is read.
    """

    id = models.BigAutoField("编号", primary_key=True)
    text = FoldedTextField("内容")
    is_settled = models.BooleanField("已编入全文索引", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "搜索索引"
        default_permissions = ()
        indexes = [models.Index(fields=["is_settled"], name="search_settled")]

    def __str__(self):
        return self.text.partition("\n")[0]
