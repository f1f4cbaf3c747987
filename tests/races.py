"""Several people at the same moment, each in a thread and a connection of his own."""

from threading import Barrier, Thread

from django.db import connection


def run_together(work, threads=16):
    """What ``work(n)`` gives in each of ``threads`` that start at the same moment; errors count as results."""
    barrier, results = Barrier(threads), []

    def body(number):
        try:
            barrier.wait()
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    started = [Thread(target=body, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results
