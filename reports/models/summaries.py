"""Reports that take long to count, kept as they were last counted. The rights to the reports hang on this model."""

from django.conf import settings
from django.db import models


class ReportSummary(models.Model):
    """The figures of one report with one set of filters, as ``viewer`` sees them; None is whoever sees everything.

    ``key`` is the digest of report, filters and viewer, ``data`` the table (``summaries.dump``), ``seconds`` what it
    took. What the viewer saw then is ``sight``, and ``departures`` is what had left it (``reports.sight``). Written by
    ``reports.summaries`` alone.
    """

    key = models.CharField("键", max_length=64, unique=True, editable=False)
    report = models.CharField("报表", max_length=20)
    query = models.CharField("筛选", max_length=500)
    viewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", verbose_name="读者"
    )
    sight = models.CharField("可见范围", max_length=64, blank=True, default="")
    departures = models.PositiveIntegerField("移出", default=0)
    data = models.JSONField("数字")
    counted_at = models.DateTimeField("数据截至")
    used_at = models.DateTimeField("最近查看", db_index=True)
    seconds = models.FloatField("用时（秒）")

    class Meta:
        verbose_name = verbose_name_plural = "报表"
        ordering = ["-used_at"]
        default_permissions = ()
        permissions = [
            ("composition_reportsummary", "客户构成"),
            ("contribution_reportsummary", "客户贡献"),
            ("lifecycle_reportsummary", "生命周期"),
            ("sea_reportsummary", "公海与认领"),
            ("leads_reportsummary", "线索转化"),
            ("activity_reportsummary", "跟进与拜访"),
            ("funnel_reportsummary", "销售漏斗"),
            ("forecast_reportsummary", "商机预测"),
            ("ranking_reportsummary", "业绩排行"),
            ("receipts_reportsummary", "回款与开票"),
            ("churn_reportsummary", "客户流失"),
            ("marketing_reportsummary", "营销活动"),
            ("service_reportsummary", "客户服务"),
            ("tracking_reportsummary", "操作跟踪"),
        ]

    def __str__(self):
        return self.report
