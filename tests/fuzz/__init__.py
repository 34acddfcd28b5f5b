"""Fuzzing of every reader of bytes that somebody else wrote.

``inputs`` makes damaged and hostile inputs from seeds. ``runs``, ``archives``, ``data``,
``tables``, ``pictures``, ``settings`` and ``downloads`` are the readers that get them. ``child``
tries inputs in a process with limits, ``trial`` starts such processes and starts them again when
one dies, and ``guided`` lets atheris choose the inputs by the lines that they reach. ``corpus``
holds past failures; ``broken`` fails in every way, so that it is seen that faults are found.
"""
