"""A sign of life comes again and again, and ends with the run or with the process."""

import threading

from cnnexp.runs.heartbeat import Heartbeat


def test_it_beats_until_it_is_stopped_and_passes_over_a_full_disk():
    beats, enough = [], threading.Event()

    def beat():
        beats.append(len(beats))
        if len(beats) == 3:
            enough.set()
        if len(beats) < 3:
            raise OSError("No space left on device")

    heart = Heartbeat(beat, 0.001)
    assert enough.wait(30)
    heart.stop()
    count = len(beats)
    assert len(beats) == count


def test_it_does_not_keep_a_process_alive():
    heart = Heartbeat(lambda: None, 60)
    assert heart._thread.daemon
    heart.stop()
    assert not heart._thread.is_alive()
