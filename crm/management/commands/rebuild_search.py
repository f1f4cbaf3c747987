from django.core.management.base import BaseCommand, CommandError

from crm import search


class Command(BaseCommand):
    help = "重建搜索索引；期间照常可以搜索"

    def add_arguments(self, parser):
        parser.add_argument("--model", help="只重建一种记录，如 customers.Customer")

    def handle(self, *args, model, **options):
        models = {declared.model._meta.label.lower(): declared.model for declared in search.declarations()}
        if model and model.lower() not in models:
            raise CommandError(
                f"没有可搜索的记录“{model}”，可选：{'、'.join(m._meta.label for m in models.values())}。"
            )
        for found in [models[model.lower()]] if model else models.values():
            self.stdout.write(f"{found._meta.verbose_name}：{search.rebuild(found)} 条")
        while search.settle():
            pass
        search.tidy()
