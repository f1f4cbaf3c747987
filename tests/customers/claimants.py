"""People who claim customers of the sea, each in a process of his own. Importing this needs no Django."""

LOCK_WAIT_TIMEOUT = 1205


def claimant(database, username, barrier, orders, answers):
    """For every ``(round, customer id, protected)`` in ``orders``: wait for the others, claim, say what came."""
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = database
    from crm.models import User

    user = User.objects.get(username=username)
    while (order := orders.get()) is not None:
        number, pk, is_protected = order
        user = User.objects.get(pk=user.pk)
        barrier.wait()
        answers.put((number, user.pk, *_attempt(_claim if is_protected else _grab, pk, user, barrier)))
    connection.close()


def _attempt(way, pk, user, barrier):
    """What came of it; who has waited for a lock so long that the database gave up asks once more, as people do."""
    from django.db import OperationalError

    for last in (False, False, True):
        try:
            return way(pk, user, barrier)
        except OperationalError as error:
            if last or error.args[0] != LOCK_WAIT_TIMEOUT:
                return type(error).__name__, str(error)
        except Exception as error:
            return type(error).__name__, str(error)


def _claim(pk, user, barrier):
    from customers.models import Customer
    from customers.services import pool

    pool.claim(Customer.objects.get(pk=pk), by=user)
    return "won", ""


def _grab(pk, user, barrier):
    """Negative control: looks whether the customer is free, and takes it, with no lock in between."""
    from crm import ownership
    from customers.models import Customer

    is_free = Customer.objects.get(pk=pk).owner_id is None
    barrier.wait()
    if is_free:
        ownership.set_owner(Customer.objects.get(pk=pk), user, by=None)
    return "won" if is_free else "lost", ""
