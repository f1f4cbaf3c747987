"""A week of requests in every state: changes of customers, stages, deletions, decided by the people of the company."""

from django.core.exceptions import ValidationError

from crm import actor, approvals, audit
from crm.approvals import engine
from crm.demo import desk
from customers.models import Customer, ReviewStatus, Stage

CHANGES = (
    ({"name": "{}集团"}, "客户完成集团化更名，营业执照已更新。"),
    ({"level": "A", "satisfaction": 5}, "本季度订单翻倍，申请升为 A 级。"),
    ({"invoice_title": "{}（开票）", "tax_rate": 13}, "客户变更开票资料。"),
    ({"address": "新址：科技园 8 号楼 1201", "postcode": "518057"}, "客户已搬迁。"),
    ({"billing_email": "billing@example.com"}, "账单改发财务公共邮箱。"),
)
# how far each of a round of requests has come
COURSES = ("approved", "approved", "second level", "first level", "rejected", "approved", "first level", "withdrawn")


def write_requests(story) -> int:
    """Requests through the services themselves; gives how many were made."""
    owned = [c for c in story.customers if c.owner and c.review_status == ReviewStatus.APPROVED]
    chosen = story.random.sample(owned, min(len(owned), 40))
    made = 0
    for place, customer in enumerate(chosen):
        customer = Customer.objects.select_related("owner").get(pk=customer.pk)
        course = COURSES[place % len(COURSES)]
        if place < 26:
            changed, reason = CHANGES[place % len(CHANGES)]
            code, values = "customer.change", {"fields": _fields(story, customer, changed), "parts": []}
        elif place < 36:
            to = Stage.KEY if customer.stage == Stage.ORDINARY else Stage.ORDINARY
            if customer.stage == to:
                continue
            code, values, reason = "customer.stage", {"from": customer.stage, "to": to}, "合作稳定，建议调整阶段。"
        else:
            code, values, reason, course = "customer.deletion", {}, "与另一客户重复。", COURSES[2 + place % 2]
        made += _run(code, customer, values, reason, course)
    return made


def _fields(story, customer, changed) -> dict:
    """``{field: [old, new]}`` as a proposal keeps it."""
    wanted = {name: new.format(customer.name) if isinstance(new, str) else new for name, new in changed.items()}
    if "level" in wanted:
        wanted["level"] = story.dictionary["level", wanted["level"]]
    now = audit.state(customer, wanted)
    for name, new in wanted.items():
        setattr(customer, name, new)
    return audit.diff(now, audit.state(customer, wanted))


def _run(code, customer, values, reason, course) -> int:
    applicant = customer.owner
    with actor.acting(applicant, ip=desk(applicant)):
        try:
            request = approvals.submit(code, customer, by=applicant, values=values, reason=reason)
        except ValidationError:  # a customer without an owner of its own, or already in that stage
            return 0
        if course == "withdrawn":
            approvals.withdraw(request, by=applicant, comment="资料还要再核对。")
            return 1
    rounds = {"first level": 0, "second level": 1, "rejected": 0}.get(course, len(request.chain))
    for _ in range(rounds):
        request = _decide(request, approvals.approve, comment="同意。")
        if not request.is_pending:
            break
    if course == "rejected":
        _decide(request, approvals.reject, comment="请补充客户的书面说明。")
    return 1


def _decide(request, decide, comment):
    person = engine.waiting_for(request)[0]
    with actor.acting(person, ip=desk(person)):
        return decide(request, by=person, digest=request.digest, comment=comment)
