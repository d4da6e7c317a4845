"""What the tasks of the DAGs do: run a job by spark-submit, wait for nights, and report a run that failed for good."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

HOME = Path(os.environ.get("RINGMILL_HOME") or Path(__file__).resolve().parent.parent)
"""The folder of ringmill."""
PERMANENT = {2: "wrong arguments or configuration", 3: "the data breaks its contract", 4: "a gate is not met"}
PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>
# Bash becomes spark-submit, and leads a process group of its own. A process of another group waits for the end of the task's
# process: a pipe closes with it, however it ends. Then Spark gets 30 seconds to end in order, and is killed.
RUN = r"""
cd "$RINGMILL_HOME" && . setup/env.sh || { echo "ringmill: no setup/env.sh in RINGMILL_HOME=$RINGMILL_HOME"; exit 2; }
exec 3<&0
setsid bash -c 'read -r _ <&3 && exit; kill -TERM "$1"
  for second in {1..30}; do kill -0 -- "-$1" || exit; sleep 1; done; kill -KILL -- "-$1"' watch "$$" >/dev/null 2>&1 &
exec spark-submit "$@" </dev/null 3<&-
"""
log = logging.getLogger(__name__)


class SparkSubmit(BaseOperator):
    """Runs a job by spark-submit, and ends it when the task ends. A permanent failure is not tried again."""

    template_fields = ("arguments", "start", "end")

    def __init__(self, *, arguments: list[str], start: str, end: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments, self.start, self.end = arguments, start, end
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> None:
        """Run the job; its interval goes with the assets that it writes."""
        _end_with_supervisor()
        code, last = self._run()
        if code:
            self._fail(context, code, last)
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {"from": self.start, "to": self.end}

    def _run(self) -> tuple[int, str]:
        command = ["bash", "-c", RUN, "ringmill", *self.arguments, "--from", self.start, "--to", self.end]
        self.log.info("spark-submit %s", " ".join(command[4:]))
        self._process = process = subprocess.Popen(
            command,
            env={**os.environ, "RINGMILL_HOME": str(HOME)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        last = ""
        try:
            for line in process.stdout:
                self.log.info("%s", line.rstrip())
                last = line.strip() if line.startswith("ringmill:") else last
            code = process.wait()
            if code:  # what is left of an application whose Java was killed
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            with suppress(OSError, ValueError):  # whoever waits for this was killed, or has been called by on_kill
                process.stdin.write("done\n")
                process.stdin.flush()
            return code, last
        finally:
            self.on_kill()

    def on_kill(self) -> None:
        """End the application: SIGTERM, and SIGKILL after 30 seconds."""
        with suppress(OSError):
            if self._process:
                self._process.stdin.close()

    def _fail(self, context: Any, code: int, last: str) -> None:
        reason = f"{self.task_id} ended with exit code {code} ({PERMANENT.get(code, 'it may pass')}): {last or 'no error line'}"
        if code == 3 and self.inlets and not context["inlet_events"][self.inlets[0]]:
            raise AirflowSkipException(f"no model has been published by a training yet: {reason}")
        raise (AirflowFailException if code in PERMANENT else AirflowException)(reason)


def _end_with_supervisor() -> None:
    """Have Linux send this process SIGTERM, on which Airflow calls `on_kill`, once the process that supervises it is gone.

    A task leads a process group of its own. A SIGKILL to Airflow's group would reach it only when it next writes to its log.
    """
    with suppress(AttributeError):  # another system has no prctl
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class NightsCleaned(BaseSensorOperator):
    """Waits until the last night of a window is cleaned: an event of the asset says up to when nights are."""

    template_fields = ("until",)

    def __init__(self, *, until: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until

    def poke(self, context: Any) -> bool:
        ends = [event.extra["to"] for event in context["inlet_events"][self.inlets[0]] if "to" in event.extra]
        return any(pendulum.parse(end) >= pendulum.parse(self.until) for end in ends)


def notify_failure(context: Any, pipeline: str, notify: dict[str, Any]) -> None:
    """Log that a run of a DAG failed for good, and send it to the webhook of the configuration's section `notify`.

    Airflow hands over the run, but not which of its tasks failed: the task in its context is the last one by the alphabet.
    """
    moments = (context.get(f"data_interval_{bound}") for bound in ("start", "end"))
    start, end = (moment.isoformat() if moment else None for moment in moments)
    job, run_id = context["dag"].dag_id, context["run_id"]
    error = f"run {run_id} failed ({context.get('reason')})"
    text = f"ringmill: {pipeline}: {job}: failed: {error}"
    log.error("%s", text)
    body = {"event": "failed", "pipeline": pipeline, "job": job, "step": None, "run_id": run_id, "interval_from": start}
    body |= {"interval_to": end, "error": error, "exit_code": None, "text": text}
    address = os.environ.get(notify.get("url", ""), "")
    if not address.startswith(("http://", "https://")) or "failed" not in notify.get("events", ("failed",)):
        return
    try:
        _post(address, json.dumps(body).encode(), notify.get("timeout_seconds", 5))
    except (OSError, ValueError) as problem:
        # Not the message of the problem: it may hold the address, which may be secret.
        log.warning("notify.url: the webhook in %s was not notified: %s", notify["url"], type(problem).__name__)


def _post(address: str, body: bytes, seconds: float) -> None:
    """POST without a proxy and without following redirects, as the jobs do."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 (of HTTP by now)
    opener.open(request, timeout=seconds).close()
