"""RQ's jobs, many at once in the threads of one process, none lost: `worker.ConcurrentWorker` is the way in.

Nothing in this room knows Seam or the jobs of this product: what it reads and writes is RQ's, and RQ 3.0's own tools
and workers work beside it on the same queues (docs/queue.md).
"""
