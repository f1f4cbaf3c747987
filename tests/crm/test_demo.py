"""What `manage.py demo` builds is as good as what people enter, and it never touches an installation in use."""

from collections import Counter
from io import StringIO
from unittest import mock

import phonenumbers
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import TestCase
from django.urls import reverse
from django_fsm import FSMFieldMixin

from crm import audit, demo, ownership, search
from crm.checks import business_models
from crm.models import BusinessLog, Department, ExchangeRate, Operation, Role, User
from crm.policies import policy_for
from customers.models import Contact, Customer, DealStatus, ReviewStatus, Stage
from sales.models import (
    Contract,
    DevelopmentPlan,
    Invoice,
    InvoiceStatus,
    Lead,
    LeadPool,
    LeadStatus,
    PaidState,
    PaymentPlan,
    PaymentRecord,
    ReceiptStatus,
)

CUSTOMERS = 50


def run(**options):
    out = StringIO()
    call_command("demo", stdout=out, **options)
    return out.getvalue()


def counts():
    return {model: model._base_manager.count() for model in business_models()}


class TestDemoCompany(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.output = run(customers=CUSTOMERS)

    def test_there_are_as_many_customers_as_asked_for_each_with_one_default_contact(self):
        assert Customer.objects.count() == CUSTOMERS
        defaults = Counter(Contact.objects.filter(is_default=True).values_list("customer", flat=True))
        assert len(defaults) == CUSTOMERS and set(defaults.values()) == {1}

    def test_every_record_passes_the_checks_of_its_form(self):
        checked = 0
        for model in business_models():
            if model is BusinessLog:
                continue
            states = [field.name for field in model._meta.fields if isinstance(field, FSMFieldMixin)]
            for record in model._base_manager.all()[:40]:
                record.full_clean(exclude=states)
                checked += 1
        assert checked > 300

    def test_derived_columns_are_what_save_would_have_written(self):
        for record in [*Customer.objects.all(), *Contact.objects.all(), *Lead.objects.all()]:
            derived = {field.name: getattr(record, field.name) for field in record._meta.fields if "_key" in field.name}
            record.remark += "！"
            record.save()
            record.refresh_from_db()
            assert {name: getattr(record, name) for name in derived} == derived

    def test_owner_columns_and_row_grants_agree(self):
        for model in (Customer, Lead):
            assert not any(rows.exists() for rows in ownership.disagreements(model).values())

    def test_a_salesperson_sees_own_and_shared_customers_and_a_manager_the_department(self):
        seller, manager = User.objects.get(username="zhangwei"), User.objects.get(username="chenjing")
        seen = policy_for(Customer).visible_to(seller)
        assert 0 < seen.count() < CUSTOMERS
        assert set(Customer.objects.filter(owner=seller)) <= set(seen)
        assert set(Customer.objects.filter(owner__department=manager.department)) <= set(
            policy_for(Customer).visible_to(manager)
        )

    def test_every_record_is_logged_once_as_created_with_what_it_then_was(self):
        for model in (Customer, Contact, User, Department, Lead, DevelopmentPlan):
            for record in model.objects.filter(lock_version=1):
                entry = BusinessLog.objects.get(
                    content_type_id=audit.content_type_id(model), object_id=record.pk, operation=Operation.CREATE
                )
                labels = {
                    field.name: sorted(map(str, getattr(record, field.name).all()))
                    for field in model._meta.many_to_many
                    if field.name != "user_permissions"
                }
                assert entry.changes == audit.diff(None, audit.state(record) | labels)
                assert (entry.business_no, entry.created_at) == (
                    str(getattr(record, "business_no", "")),
                    record.created_at,
                )

    def test_every_customer_has_its_versions_with_categories_and_tags(self):
        for customer in Customer.objects.all():
            versions = customer.history.all()
            assert [version.lock_version for version in versions] == list(range(customer.lock_version, 0, -1))
            last = versions[0]
            assert audit.state(last.instance) == audit.state(customer)
            assert {row.tag_id for row in last.tags.all()} == {tag.pk for tag in customer.tags.all()}
            assert {row.customercategory_id for row in last.categories.all()} == {
                category.pk for category in customer.categories.all()
            }

    def test_every_customer_is_found_by_a_piece_of_its_name_and_by_its_contacts_phone(self):
        for customer in Customer.objects.all()[:20]:
            assert customer in search.search(Customer.objects.all(), customer.name[1:4])
            mobile = customer.contacts.filter(is_default=True).get().mobile
            assert customer in search.search(Customer.objects.all(), mobile[2:9])

    def test_all_states_occur_and_go_together(self):
        assert set(Customer.objects.values_list("review_status", flat=True)) == set(ReviewStatus)
        assert set(Customer.objects.values_list("deal_status", flat=True)) == set(DealStatus)
        assert set(Customer.objects.values_list("stage", flat=True)) == set(Stage)
        suspended = Customer.objects.filter(review_status=ReviewStatus.SUSPENDED)
        assert not suspended.filter(is_enabled=True).exists()
        assert not Customer.objects.exclude(review_status=ReviewStatus.SUSPENDED).filter(is_enabled=False).exists()

    def test_part_of_the_customers_has_no_owner_and_nobody_disabled_owns_any(self):
        assert 0 < Customer.objects.filter(owner=None).count() < CUSTOMERS / 2
        assert not Customer.objects.filter(owner__is_active=False).exists()

    def test_leads_of_all_states_lie_in_three_pools_and_converted_ones_have_their_customer(self):
        assert LeadPool.objects.count() == 3 and set(Lead.objects.values_list("pool", flat=True)) == {1, 2, 3}
        assert set(Lead.objects.values_list("status", flat=True)) == set(LeadStatus)
        assert Lead.objects.filter(owner=None).exists()
        converted = Lead.objects.filter(status=LeadStatus.CONVERTED)
        assert not converted.filter(customer=None).exists() and converted.filter(plans__isnull=False).exists()
        for lead in converted.select_related("customer"):
            assert lead.owner_id == lead.customer.owner_id or lead.customer.lock_version > 1
        for lead in Lead.objects.all():
            assert lead.enquiry_count == lead.enquiries.count()

    def test_the_money_of_every_contract_adds_up_and_what_was_voided_says_why(self):
        for contract in Contract.objects.all():
            planned = sum(plan.amount for plan in contract.plans.all())
            receipts = contract.payments.filter(status=ReceiptStatus.VALID)
            invoices = contract.invoices.exclude(status=InvoiceStatus.VOID)
            assert contract.received_amount == sum(row.amount for row in receipts) <= contract.total_amount
            assert contract.invoiced_amount == sum(row.amount for row in invoices) <= contract.total_amount
            assert planned <= contract.total_amount
        assert {PaidState.PAID, PaidState.UNPAID} <= set(PaymentPlan.objects.values_list("status", flat=True))
        assert PaymentRecord.objects.filter(status=ReceiptStatus.VOID).exists()
        assert not PaymentRecord.objects.filter(status=ReceiptStatus.VOID, void_reason="").exists()
        assert not Invoice.objects.filter(status=InvoiceStatus.VOID, void_reason="").exists()

    def test_telephone_numbers_are_valid_and_mail_addresses_reach_nobody(self):
        numbers = [*Customer.objects.values_list("phone", flat=True), *Contact.objects.values_list("mobile", flat=True)]
        invalid = [n for n in numbers if not phonenumbers.is_valid_number(phonenumbers.parse(n, "CN"))]
        assert not invalid
        mails = [
            mail
            for model, name in ((Customer, "email"), (Customer, "notify_email"), (Contact, "email"), (User, "email"))
            for mail in model.objects.exclude(**{name: ""}).values_list(name, flat=True)
        ]
        assert mails and all(mail.endswith(".example") for mail in mails)

    def test_rare_characters_are_among_the_names(self):
        assert Customer.objects.filter(name__contains="𠮷").exists()
        assert set("㛃䶮𬱖") <= set("".join(Contact.objects.values_list("name", flat=True)))

    def test_every_role_has_somebody_in_a_department_and_its_manager_is_one_of_its_people(self):
        active = User.objects.filter(is_active=True, department__isnull=False)
        assert set(Role.objects.filter(user__in=active).values_list("name", flat=True)) == set(
            Role.objects.values_list("name", flat=True)
        )
        for department in Department.objects.select_related("manager"):
            assert department.manager.department_id == department.pk

    def test_there_is_a_rate_for_each_currency_on_any_day_of_the_past_eleven_months(self):
        assert len(set(ExchangeRate.objects.values_list("currency", flat=True))) == 8
        assert len(set(ExchangeRate.objects.values_list("valid_from", flat=True))) == 12

    def test_it_prints_an_address_and_an_account_for_every_role(self):
        assert "http://127.0.0.1:8000/" in self.output
        for name in ["超级管理员", *Role.objects.values_list("name", flat=True)]:
            assert any(
                line.split()[0] == name and demo.PASSWORD in line for line in self.output.splitlines() if line.strip()
            )

    def test_the_printed_password_opens_the_printed_accounts(self):
        for _, username, _, _ in demo.accounts()[:2]:
            page = self.client.post(reverse("admin:login"), {"username": username, "password": demo.PASSWORD})
            assert page.status_code == 302 and self.client.session["_auth_user_id"]
            self.client.logout()

    def test_an_account_whose_password_was_changed_is_printed_no_more(self):
        admin = User.objects.get(username="admin")
        admin.set_password("another one 2026")
        admin.save(update_fields=["password"])
        assert "admin" not in {username for _, username, _, _ in demo.accounts()}

    def test_a_second_run_adds_nothing_and_says_so(self):
        before = counts()
        output = run(customers=CUSTOMERS)
        assert counts() == before
        assert "没有添加演示数据" in output and "zhangwei" in output


@pytest.mark.django_db
def test_an_installation_in_use_gets_neither_data_nor_accounts_with_a_known_password():
    User.objects.create_superuser("boss", password="not the demo one", full_name="老板")
    output = run(customers=CUSTOMERS)
    assert User.objects.count() == 1 and not Customer.objects.exists()
    assert demo.PASSWORD not in output


@pytest.mark.django_db
def test_a_failure_on_the_way_leaves_nothing_behind():
    with mock.patch("customers.demo.Story.live_today", side_effect=RuntimeError), pytest.raises(RuntimeError):
        run(customers=5)
    assert not User.objects.exists() and not Customer.objects.exists()


@pytest.mark.django_db
def test_two_installations_get_the_same_customers():
    """The seed is fixed: what one person sees and reports, another can look up."""

    def install():
        with transaction.atomic():
            run(customers=5)
            rows = list(
                Customer.objects.order_by("pk").values_list("code", "name", "phone", "licence_no", "owner__username")
            )
            transaction.set_rollback(True)
        return rows

    assert install() == install()


def test_a_senseless_number_of_customers_is_refused():
    with pytest.raises(CommandError, match="至少为 1"):
        run(customers=0)
