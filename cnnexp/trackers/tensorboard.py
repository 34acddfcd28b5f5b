"""TensorBoard: event files in the run folder.

They are written with the package ``tensorboard`` itself, the way PyTorch's ``SummaryWriter`` does
it; neither TensorFlow nor PyTorch is needed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnexp.trackers.base import TRACKERS, Tracked, Tracker

FINAL = "final_"  # before results, which are of the weights that were kept


@TRACKERS.register("tensorboard")
@dataclass
class TensorBoard(Tracker):
    """Event files for TensorBoard, in the run folder: ``tensorboard --logdir outputs``.

    Parameters
    ----------
    flush_seconds : float
        Most seconds until a logged figure is in the file.
    """

    needs: ClassVar[str] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"

    flush_seconds: float = 10.0

    def begin(self, run: Tracked, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        """Open an event file; after a cut, what follows replaces later epochs of earlier files."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._started = time.time()
        self._writer = EventFileWriter(str(run.folder), flush_secs=self.flush_seconds)
        first = run.epochs + 1
        if saved:
            session = SessionLog(status=SessionLog.START)
            self._add(Event(step=first, session_log=session))
        else:
            self._add(self._summary(0, self._session_start(run)))
            about = {"name": run.name, "tags": ", ".join(run.tags), "note": run.note}
            about["settings"] = _as_markdown(run.settings)
            for tag, text in about.items():
                if text:
                    self._add(self._summary(0, _text(tag, text)))
        self._writer.flush()
        return {"begun": self._started}

    def epoch_done(self, figures: Mapping[str, float]) -> None:
        """Log each figure as a scalar at the step of its epoch."""
        self._scalars(int(figures["epoch"]), figures)

    def end(self, status: str, results: Mapping[str, float]) -> None:
        """Log results and the status, and close the file."""
        if not hasattr(self, "_writer"):
            return
        step = int(results.get("epoch", 0))
        self._scalars(step, {f"{FINAL}{name}": value for name, value in results.items()})
        self._add(self._summary(step, _text("status", status)))
        self._add(self._summary(step, self._session_end(status)))
        self._writer.close()

    def _scalars(self, step: int, figures: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        self._add(self._summary(step, Summary(value=values)))

    def _summary(self, step: int, summary: Any) -> Any:
        from tensorboard.compat.proto.event_pb2 import Event

        return Event(step=step, summary=summary)

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.add_event(event)

    def _session_start(self, run: Tracked) -> Any:
        """Return the hyperparameters, for TensorBoard's page of them."""
        from tensorboard.plugins.hparams import metadata
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

        start = SessionStartInfo(group_name=run.name, start_time_secs=self._started)
        for key, value in run.settings.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, (int, float)):
                start.hparams[key].number_value = value
            else:
                start.hparams[key].string_value = _as_text(value)
        data = HParamsPluginData(session_start_info=start)
        return _hparams(metadata.SESSION_START_INFO_TAG, data)

    def _session_end(self, status: str) -> Any:
        from tensorboard.plugins.hparams import api_pb2, metadata
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

        known = {"finished": api_pb2.STATUS_SUCCESS, "interrupted": api_pb2.STATUS_UNKNOWN}
        found = known.get(status, api_pb2.STATUS_FAILURE)
        data = HParamsPluginData(
            session_end_info=SessionEndInfo(status=found, end_time_secs=time.time())
        )
        return _hparams(metadata.SESSION_END_INFO_TAG, data)


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))
    value.tensor.CopyFrom(metadata.NULL_TENSOR)
    return Summary(value=[value])


def _text(tag: str, text: str) -> Any:
    """Return a text, for TensorBoard's page of texts."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata.PluginData(plugin_name="text")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=[text.encode()])
    described = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=tensor)])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _as_markdown(settings: Mapping[str, Any]) -> str:
    """Return settings as a table, which is how TensorBoard shows them."""
    rows = [f"| {key} | {_as_text(value)} |" for key, value in settings.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
