"""One thread per ready step, wave after wave: rolling out is waiting.

Stands on private parts of the Dagster release that the project pins (`ActiveExecution`,
`dagster_event_sequence_for_step`); tests/defs/test_executor.py shows when a new one breaks it.
Threads cannot be killed: the bodies of long steps ask `state_of(run_id).cancelled`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dagster import (
    DagsterEvent,
    DagsterExecutionInterruptedError,
    DagsterRun,
    DagsterRunStatus,
    Executor,
    ExecutorDefinition,
    Field,
    InitExecutorContext,
    IntSource,
    executor,
)
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode

WaveOf = Callable[[DagsterRun, frozenset[str]], Mapping[str, int]]
"""From a run and its steps to the wave of each step that has one; the others wait for none."""

ADMISSION = -1
"""Wave of the steps that every wave waits for; that one of them failed stops nobody else."""

POLL = 0.25
"""Seconds after which the loop looks for a cancellation when no step has anything to say."""

RECORD_LOOK = 10.0
"""Seconds between two looks at what the run's record says. Whoever cancels a run while Kubernetes
is away, or calls it failed since its pod was not seen, tells its process by the record alone."""

ENDING = (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE)

LAST_WORDS = 30.0
"""Seconds that running steps have to end after a cancellation."""


@dataclass(slots=True)
class RunState:
    """What the steps of one run may ask about it."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    steps: frozenset[str] = frozenset()
    waves: Mapping[str, int] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    def beside(self, step: str) -> frozenset[str]:
        """The steps of the same wave, this one included; without waves all of the run."""
        wave = self.waves.get(step)
        return frozenset(key for key in self.steps if self.waves.get(key) == wave) | {step}

    def failed_before(self, step: str) -> tuple[str, ...]:
        """Steps of earlier waves that failed or were never reached; admission is no wave."""
        own = self.waves.get(step, 0)
        return tuple(
            sorted(key for key in self.failed if ADMISSION < self.waves.get(key, own) < own)
        )


_states: dict[str, RunState] = {}


def state_of(run_id: str) -> RunState:
    """The state of a run that this process executes; of any other, one where nothing happened."""
    return _states.get(run_id, RunState())


class _End:
    """A step's thread has nothing more to say; `error` is what it raised, if it did."""

    def __init__(self, step: str, error: BaseException | None) -> None:
        self.step, self.error = step, error


class _ThreadedPlan:
    """The execution of one plan: the loop stays in the main thread, the steps do not."""

    def __init__(
        self, context: PlanExecutionContext, active: ActiveExecution, state: RunState, most: int
    ) -> None:
        self.context, self.active, self.state, self.most = context, active, state, most
        self.said: queue.Queue[DagsterEvent | _End] = queue.Queue()
        self.ready: list[ExecutionStep] = []
        self.running: dict[str, threading.Thread] = {}
        self.looked = time.monotonic()

    def events(self) -> Iterator[DagsterEvent]:
        while not self.active.is_complete:
            if self.active.check_for_interrupts() or self._called_off():
                yield from self._cancel()
            self.ready += self.active.get_steps_to_execute()
            self._start_ready()
            yield from self.active.plan_events_iterator(self.context)
            yield from self._listen()

    def _called_off(self) -> bool:
        """Whether the record says that the run has ended or shall; unread, it says nothing."""
        if time.monotonic() - self.looked < RECORD_LOOK:
            return False
        self.looked = time.monotonic()
        try:
            run = self.context.instance.get_run_by_id(self.context.run_id)
        except Exception:  # noqa: BLE001  # the database is away, and comes back
            return False
        return run is not None and run.status in ENDING

    def _ended(self) -> frozenset[str]:
        active = self.active
        return frozenset(active._success | active._failed | active._skipped | active._abandoned)

    def _start_ready(self) -> None:
        ended = self._ended()
        open_waves = [wave for key, wave in self.state.waves.items() if key not in ended]
        current = min(open_waves, default=0)
        self.state.ended = ended
        self.state.failed = frozenset(self.active._failed | self.active._abandoned)
        for step in list(self.ready):
            if len(self.running) >= self.most:
                return
            if self.state.waves.get(step.key, current) <= current:
                self.ready.remove(step)
                self._start(step)

    def _start(self, step: ExecutionStep) -> None:
        context = self.context.for_step(step, self.active.get_known_state())
        thread = threading.Thread(
            target=self._run, args=(context,), name=f"step {step.key}", daemon=True
        )
        self.running[step.key] = thread
        thread.start()

    def _run(self, context: StepExecutionContext) -> None:
        error: BaseException | None = None
        try:
            for event in dagster_event_sequence_for_step(context):
                self.said.put(event)
        except BaseException as raised:  # noqa: BLE001  # carried to the loop, which raises it
            error = raised
        self.said.put(_End(context.step.key, error))

    def _listen(self) -> Iterator[DagsterEvent]:
        """What the steps said since the last look; wait for the first word, and not for ever."""
        if not self.running and not self.active.is_complete:
            retry_in = float(self.active.sleep_interval())  # type: ignore[no-untyped-call]
            time.sleep(min(max(retry_in, 0.0), POLL))
            return
        try:
            yield from self._heard(self.said.get(timeout=POLL))
            while not self.said.empty():
                yield from self._heard(self.said.get_nowait())
        except queue.Empty:
            return

    def _heard(self, word: DagsterEvent | _End) -> Iterator[DagsterEvent]:
        if isinstance(word, DagsterEvent):
            yield word
            self.active.handle_event(word)
            return
        self.running.pop(word.step).join()
        if word.error is not None:
            raise word.error
        self.active.verify_complete(self.context, word.step)

    def _cancel(self) -> Iterator[DagsterEvent]:
        """Ask the running steps to end, hear them out, and end the run as interrupted."""
        self.state.cancelled.set()
        self.active.mark_interrupted()
        yield DagsterEvent.engine_event(
            self.context,
            f"Cancelled: waiting up to {LAST_WORDS:.0f} s for {len(self.running)} steps to end",
            EngineEventData.interrupted(list(self.running)),
        )
        until = time.monotonic() + LAST_WORDS
        while self.running and time.monotonic() < until:
            yield from self._listen()
        raise DagsterExecutionInterruptedError()


class ThreadExecutor(Executor):
    """Runs every ready step in a thread of the run's own process."""

    def __init__(self, wave_of: WaveOf, retries: RetryMode, max_concurrent: int) -> None:
        self._wave_of, self._retries, self._most = wave_of, retries, max_concurrent

    @property
    def retries(self) -> RetryMode:
        return self._retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        yield from ExecuteRunWithPlanIterable(
            execution_plan=execution_plan,
            iterator=self._execute,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
            ),
        )

    def _execute(
        self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        steps = frozenset(execution_plan.step_keys_to_execute)
        state = RunState(steps=steps, waves=self._wave_of(job_context.dagster_run, steps))
        _states[job_context.run_id] = state
        try:
            with execution_plan.start(retry_mode=job_context.retry_mode) as active:
                yield from _ThreadedPlan(job_context, active, state, self._most).events()
        finally:
            del _states[job_context.run_id]


def thread_executor(wave_of: WaveOf) -> ExecutorDefinition:
    """The default executor of all jobs. `max_concurrent` bounds the threads of one run."""

    @executor(
        name="threads",
        config_schema={
            "max_concurrent": Field(
                IntSource, default_value=128, description="Most steps of one run at a time."
            )
        },
    )
    def threads(context: InitExecutorContext) -> Executor:
        """One thread per ready step, wave after wave."""
        most = context.executor_config["max_concurrent"]
        return ThreadExecutor(wave_of, RetryMode.ENABLED, int(str(most)))

    return threads
