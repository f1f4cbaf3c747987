"""The entries say what the records say, whoever wrote them, in the same transaction."""

from io import StringIO
from threading import Event, Thread
from time import sleep

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction

from crm import bulk, ownership, records, search
from crm.models import Job, SearchEntry
from crm.search import find, index
from crm.search.registry import declaration_of
from customers.models import Contact, Customer, RealCustomer
from tests.factories import make


def found(term, model=Customer):
    return [str(obj) for obj in search.search(model.objects.order_by("pk"), term)]


def entries(model=Customer):
    rows = SearchEntry.objects.filter(pk__range=declaration_of(model).range).order_by("pk")
    return list(rows.values_list("text", flat=True))


@pytest.fixture
def customer(db):
    return make(Customer, name="深圳市华强电子", code="KH001", phone="0755-8888 1234")


class TestSaving:
    def test_a_new_name_is_found_and_the_former_is_not(self, customer):
        customer.name = "东莞恒远电子"
        customer.save()
        assert found("恒远") == ["东莞恒远电子"]
        assert found("华强") == []

    def test_a_contact_makes_his_customer_found(self, customer):
        contact = make(Contact, customer=customer, name="张伟", mobile="13800138000")
        assert found("张伟") == found("0013800") == ["深圳市华强电子"]
        contact.name = "李娜"
        contact.save()
        assert found("张伟") == []
        assert found("李娜") == ["深圳市华强电子"]

    def test_a_contact_that_moves_takes_his_number_along(self, customer):
        contact = make(Contact, customer=customer, name="张伟")
        contact.customer = make(Customer, name="乙公司")
        contact.save()
        assert found("张伟") == ["乙公司"]

    def test_a_company_that_is_renamed_takes_its_contacts_along(self, customer):
        make(Contact, customer=customer, name="张伟")
        customer.name = "恒远电子"
        customer.save()
        assert found("恒远", Contact) == ["张伟"]
        assert found("华强", Contact) == []

    def test_what_was_removed_is_not_found_and_comes_back_when_restored(self, customer):
        contact = make(Contact, customer=customer, name="张伟")
        records.remove(contact, by=None)
        assert found("张伟") == found("张伟", Contact) == []
        records.remove(customer, by=None)
        assert found("华强") == []
        stored = Customer.objects.get(pk=customer.pk)
        stored.is_valid = True
        stored.save()
        assert found("华强") == ["深圳市华强电子"]

    def test_a_failed_transaction_leaves_no_entry(self, customer):
        before = entries()
        with pytest.raises(RuntimeError), transaction.atomic():
            make(Customer, name="恒远")
            raise RuntimeError
        assert entries() == before

    def test_a_change_nobody_searches_by_writes_no_entry(self, customer):
        with transaction.atomic():
            search.settle()
            customer.remark = "老客户"
            customer.save()
            ownership.set_owner(customer, None, by=None)
        assert not SearchEntry.objects.filter(is_settled=False).exists()

    def test_a_text_that_says_a_thing_twice_holds_it_once(self, db):
        make(Customer, name="深圳华强电子", short_name="华强", code="A1", phone="")
        assert entries() == ["深圳华强电子\na1"]


class TestSetWise:
    NAMES = ["深圳市华强电子", "𠮷祥（Ａ）", "100%纯棉"]

    def test_saved_set_wise_and_rebuilt_rows_have_the_same_entries(self, db):
        saved = [make(Customer, name=name, code=f"A{n}", phone="0755-8888 1234") for n, name in enumerate(self.NAMES)]
        for customer in saved:
            make(Contact, customer=customer, name="张伟", mobile="138 0013 8000", email="a@b.cn")
        written = entries(), entries(Contact), entries(RealCustomer)
        assert [len(texts) for texts in written[:2]] == [3, 3]
        SearchEntry.objects.all().delete()
        for model in (Customer, RealCustomer):
            search.refresh(model, model.objects.values_list("pk", flat=True))
        assert (entries(), entries(Contact), entries(RealCustomer)) == written
        SearchEntry.objects.all().delete()
        for model in (Customer, Contact, RealCustomer):
            search.rebuild(model)
        assert (entries(), entries(Contact), entries(RealCustomer)) == written

    def test_contacts_written_set_wise_are_in_the_entries_of_their_customers(self, customer):
        row = {"customer_id": customer.pk, "name": "张伟", "mobile": "13800138000", "mobile_key": "+8613800138000"}
        with transaction.atomic():
            [pk] = bulk.insert(Contact, [row])
            search.refresh(Contact, [pk])
        assert found("张伟") == found("0013800") == ["深圳市华强电子"]
        with transaction.atomic():
            rows = list(bulk.stored_rows(Contact, [pk]).values())
            bulk.delete(Contact, rows)
            search.forget(Contact, rows)
        assert found("张伟") == found("张伟", Contact) == []

    def test_customers_written_set_wise_take_their_contacts_along(self, customer):
        make(Contact, customer=customer, name="张伟")
        Customer.objects.filter(pk=customer.pk).update(name="恒远")
        search.refresh(Customer, [customer.pk])
        assert found("恒远") == ["恒远"]
        assert found("恒远", Contact) == ["张伟"]

    def test_what_was_deleted_for_good_leaves_nothing(self, db):
        real = make(RealCustomer, name="华强集团")
        search.settle()
        search.forget(RealCustomer, [{"id": real.pk}])
        assert not entries(RealCustomer)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {index.TOKENS}")
            assert cursor.fetchone() == (0,)

    def test_unchanged_records_keep_their_settled_entries(self, customer):
        search.settle()
        search.refresh(Customer, [customer.pk])
        assert not SearchEntry.objects.filter(is_settled=False).exists()

    @pytest.mark.django_db(transaction=True)
    def test_many_at_once_are_settled_soon(self, monkeypatch):
        monkeypatch.setattr(index, "MANY", 2)
        ids = [make(RealCustomer).pk for _ in range(2)]
        search.refresh(RealCustomer, ids)
        assert not Job.objects.exists()
        for _ in range(2):
            SearchEntry.objects.all().delete()
            search.refresh(RealCustomer, ids)
        assert [job.kind for job in Job.objects.all()] == ["search.settle"]


@pytest.mark.django_db(transaction=True)
class TestSettling:
    @pytest.fixture(autouse=True)
    def _through_the_index(self, monkeypatch):
        monkeypatch.setattr(find, "SMALL", 0)
        monkeypatch.setattr(find, "COMMON", 2)

    def test_the_periodic_work_settles_everything_once(self, monkeypatch):
        monkeypatch.setattr(index, "SETTLE_CHUNK", 2)
        for number in range(5):
            make(RealCustomer, name=f"华强{number}")
        call_command("periodic", "search.settle", stdout=StringIO())
        assert not SearchEntry.objects.filter(is_settled=False).exists()
        assert search.settle() == 0
        assert len(found("华强", RealCustomer)) == 5

    def test_stale_tokens_find_nothing(self):
        """Between a change and the next settling the full-text table still holds the former name."""
        real = make(RealCustomer, name="华强集团", code="R1")
        search.settle()
        real.name = "恒远集团"
        real.save()
        for _ in range(2):
            assert found("华强", RealCustomer) == []
            assert found("恒远", RealCustomer) == ["恒远集团（R1）"]
            assert found("集团", RealCustomer) == ["恒远集团（R1）"]
            search.settle()

    def test_a_rebuild_mends_whatever_is_wrong(self, capsys):
        good = make(RealCustomer, name="华强集团", code="R1")
        lost = make(RealCustomer, name="恒远集团", code="R2")
        gone = make(RealCustomer, name="旧集团", code="R3")
        SearchEntry.objects.filter(text__contains="恒远").delete()
        SearchEntry.objects.filter(text__contains="华强").update(text="错误", is_settled=True)
        RealCustomer.objects.filter(pk=gone.pk)._raw_delete(connection.alias)
        call_command("rebuild_search", "--model", "customers.realcustomer")
        assert "2 条" in capsys.readouterr().out
        assert found("集团", RealCustomer) == [str(good), str(lost)]
        assert entries(RealCustomer) == ["华强集团\nr1", "恒远集团\nr2"]
        assert not SearchEntry.objects.filter(is_settled=False).exists()

    def test_a_kind_that_is_not_searched_is_named_in_chinese(self):
        with pytest.raises(CommandError, match="没有可搜索的记录“x”，可选：customers"):
            call_command("rebuild_search", "--model", "x")


@pytest.mark.mysql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locked", [True, False])
def test_two_contacts_saved_at_once_are_both_in_the_entry(monkeypatch, locked):
    """Each transaction sees only its own contact; without the lock, the last to write would leave the other one out."""
    customer = make(Customer, name="深圳市华强电子")
    make(Contact, customer=customer, name="王芳", is_default=True)
    written = Event()
    if not locked:
        monkeypatch.setattr(models.QuerySet, "select_for_update", lambda self, **options: self)

    def first():
        with transaction.atomic():
            make(Contact, customer=customer, name="张伟")
            written.set()
            sleep(0.5)
        connection.close()

    def second():
        written.wait(5)
        make(Contact, customer=customer, name="李娜")
        connection.close()

    threads = [Thread(target=first), Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found("张伟") == found("李娜") == ["深圳市华强电子"]) == locked
