"""Migrations that make many tables without drawing up the whole model graph for each of them."""

from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation


class AllAtOnce(Operation):
    """The first ``operations`` of an app, applied as one: every table is created as it is after the last of them.

    Between two operations Django renders anew all models that hang together, which here is all of them: a minute for
    the empty database of a new installation. Nothing but what builds up new models belongs in here.
    """

    reversible = True

    def __init__(self, operations):
        self.operations = operations

    def deconstruct(self):
        return type(self).__name__, [self.operations], {}

    def describe(self):
        return f"建 {len(self._created())} 个模型"

    def state_forwards(self, app_label, state):
        state.__dict__.pop("apps", None)
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        for model in self._models(app_label, schema_editor, to_state):
            schema_editor.create_model(model)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        for model in reversed(self._models(app_label, schema_editor, from_state)):
            schema_editor.delete_model(model)

    def _created(self):
        return [operation for operation in self.operations if isinstance(operation, CreateModel)]

    def _models(self, app_label, schema_editor, state):
        models = [state.apps.get_model(app_label, operation.name) for operation in self._created()]
        return [model for model in models if self.allow_migrate_model(schema_editor.connection.alias, model)]
