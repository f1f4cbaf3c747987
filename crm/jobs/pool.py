"""The worker processes of one machine.

Queue, schedules and scale-out are django-q2's. Its process pool is not used: a worker killed while it waits takes the
lock of the pool's common pipe with it, and the cluster stands still for ever (django-q2 issue 23). Here each process
asks the broker itself, does one message and ends, so that it may die at any moment, and the memory of a large job goes
back with it. The parent forks, keeps the clock, and hands on what dead processes left.
"""

import logging
import os
import signal
import time
from multiprocessing import connection, get_context

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string
from django_q.brokers import get_broker
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage

from crm.jobs.queue import abandon, reap
from crm.jobs.run import Shutdown, worker_name

logger = logging.getLogger(__name__)

SCHEDULE_SECONDS = 20
GRACE_SECONDS = 20
PAUSE_SECONDS = 0.5
NICENESS = 10  # who waits for a page goes first


def serve(size):
    """Keep ``size`` worker processes going until a stop signal; then they finish their chunk and give back the job."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    workers = []
    clocks = [Clock(reap, min(5, settings.JOB_LEASE_SECONDS / 10)), Clock(scheduler, SCHEDULE_SECONDS)]
    try:
        while not Shutdown.requested:
            workers = [worker for worker in workers if _lives(worker)]
            while len(workers) < size:
                workers.append(_fork())
            for clock in clocks:
                clock.tick()
            connection.wait([worker.sentinel for worker in workers], timeout=min(clock.rest() for clock in clocks))
    finally:
        _end(workers)


class Clock:
    def __init__(self, function, seconds):
        self.function, self.seconds, self.due = function, seconds, 0.0

    def tick(self):
        if time.monotonic() >= self.due:
            _ask_database(self.function)
            self.due = time.monotonic() + self.seconds

    def rest(self) -> float:
        return max(0, min(1, self.due - time.monotonic()))


def _stop(number, frame):
    Shutdown.requested = True


def _ask_database(function, *args):
    """The parent outlives a database that is away for a while."""
    try:
        function(*args)
    except DatabaseError:
        logger.exception("数据库暂时不可用")
        connections.close_all()


def _fork():
    connections.close_all()
    worker = get_context("fork").Process(target=_work, args=(os.getpid(),))
    worker.start()
    return worker


def _lives(worker) -> bool:
    if worker.is_alive():
        return True
    if worker.exitcode:
        logger.error("后台任务进程 %s 意外退出（%s），将补上一个", worker.pid, worker.exitcode)
        _ask_database(abandon, worker_name(worker.pid))
        time.sleep(PAUSE_SECONDS)
    return False


def _end(workers):
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(max(0, deadline - time.monotonic()))
        worker.kill()
        worker.join()


def _work(parent):
    """A worker process: wait for a message, do it, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    broker = get_broker()
    while not Shutdown.requested and os.getppid() == parent:
        for receipt, message in broker.dequeue() or ():
            # what must not get lost is the job row with its lease, not the message
            broker.acknowledge(receipt)
            task = SignedPackage.loads(message)
            import_string(task["func"])(*task["args"], **task["kwargs"])
            return
