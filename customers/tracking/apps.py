from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "customers.tracking"
    label = "tracking"
    verbose_name = "操作跟踪"

    def ready(self):
        from crm import setup, trails
        from customers import activity
        from customers.models import Interaction, VisitPlan
        from customers.services import merging
        from customers.tracking import checks, timeline  # noqa: F401
        from customers.tracking.services import alerts, recording

        trails.RECORDERS.add("tracking", recording.record_deeds)
        follow_up = trails.Kind.FOLLOW_UP
        recording.KINDS.add("customers", lambda: {Interaction: follow_up, VisitPlan: follow_up})
        activity.PANELS.add("tracking", timeline.panel)
        merging.JOURNALS.add("tracking.Trace", recording.go_with)
        setup.shipped.add("tracking.rules", alerts.load_rules)
