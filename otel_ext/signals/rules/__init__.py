"""The rules: one signal, one file, named like the signal.

`loop.exact_repeat` is in `loop/exact_repeat.py`.

Law of this room: a rule is a class with its own `Limits`, knows nothing of other rules' tables except by
import, and stands in `RULES` at the place of its precedence (precision rule 14: who comes first owns the
span): risk, then loops over failures, then loops, then waste, then the rest.
"""

from typing import Any, Final

from otel_ext.signals.rule import Rule
from otel_ext.signals.rules.behavior.blind_edit import BlindEdit
from otel_ext.signals.rules.behavior.input_growth import InputGrowth
from otel_ext.signals.rules.behavior.no_verification import NoVerification
from otel_ext.signals.rules.behavior.output_decay import OutputDecay
from otel_ext.signals.rules.behavior.single_tool_dependency import SingleToolDependency
from otel_ext.signals.rules.latency.model_slowdown import ModelSlowdown
from otel_ext.signals.rules.loop.compaction_persisted import CompactionPersisted
from otel_ext.signals.rules.loop.compaction_thrash import CompactionThrash
from otel_ext.signals.rules.loop.cycle import Cycle
from otel_ext.signals.rules.loop.cycle_unverified import CycleUnverified
from otel_ext.signals.rules.loop.delegation_recursion import DelegationRecursion
from otel_ext.signals.rules.loop.edit_test_thrash import EditTestThrash
from otel_ext.signals.rules.loop.empty_response import EmptyResponse
from otel_ext.signals.rules.loop.error_repeat import ErrorRepeat
from otel_ext.signals.rules.loop.error_streak import ErrorStreak
from otel_ext.signals.rules.loop.error_variants import ErrorVariants
from otel_ext.signals.rules.loop.exact_repeat import ExactRepeat
from otel_ext.signals.rules.loop.handoff_ping_pong import HandoffPingPong
from otel_ext.signals.rules.loop.invalid_tool import InvalidTool
from otel_ext.signals.rules.loop.low_novelty import LowNovelty
from otel_ext.signals.rules.loop.monologue import Monologue
from otel_ext.signals.rules.loop.near_duplicate import NearDuplicate
from otel_ext.signals.rules.loop.noop_edit import NoopEdit
from otel_ext.signals.rules.loop.nothing_new import NothingNew
from otel_ext.signals.rules.loop.poll_stalled import PollStalled
from otel_ext.signals.rules.loop.reasoning_repeat import ReasoningRepeat
from otel_ext.signals.rules.loop.repeat_unverified import RepeatUnverified
from otel_ext.signals.rules.loop.replan_stall import ReplanStall
from otel_ext.signals.rules.loop.same_result import SameResult
from otel_ext.signals.rules.loop.state_oscillation import StateOscillation
from otel_ext.signals.rules.loop.state_stagnation import StateStagnation
from otel_ext.signals.rules.loop.text_chant import TextChant
from otel_ext.signals.rules.loop.text_streak import TextStreak
from otel_ext.signals.rules.loop.tool_streak import ToolStreak
from otel_ext.signals.rules.risk.duplicate_side_effect import DuplicateSideEffect
from otel_ext.signals.rules.termination.dead_end import DeadEnd
from otel_ext.signals.rules.termination.limit_hit import LimitHit
from otel_ext.signals.rules.termination.premature import Premature
from otel_ext.signals.rules.termination.silent_tool_error import SilentToolError
from otel_ext.signals.rules.waste.abandoned_subagent import AbandonedSubagent
from otel_ext.signals.rules.waste.cache_bust import CacheBust
from otel_ext.signals.rules.waste.cache_write_unread import CacheWriteUnread
from otel_ext.signals.rules.waste.compaction_reread import CompactionReread
from otel_ext.signals.rules.waste.context_growth import ContextGrowth
from otel_ext.signals.rules.waste.cost_spike import CostSpike
from otel_ext.signals.rules.waste.cost_velocity import CostVelocity
from otel_ext.signals.rules.waste.cross_agent_duplicate import CrossAgentDuplicate
from otel_ext.signals.rules.waste.duplicate_fanout import DuplicateFanout
from otel_ext.signals.rules.waste.failed_call import FailedCall
from otel_ext.signals.rules.waste.no_batch import NoBatch
from otel_ext.signals.rules.waste.over_delegation import OverDelegation
from otel_ext.signals.rules.waste.oversized_result import OversizedResult
from otel_ext.signals.rules.waste.post_completion import PostCompletion
from otel_ext.signals.rules.waste.redundant_read import RedundantRead
from otel_ext.signals.rules.waste.retry_amplification import RetryAmplification
from otel_ext.signals.rules.waste.retry_no_backoff import RetryNoBackoff
from otel_ext.signals.rules.waste.retry_storm import RetryStorm
from otel_ext.signals.rules.waste.shadowed_write import ShadowedWrite
from otel_ext.signals.rules.waste.sleep_poll import SleepPoll
from otel_ext.signals.rules.waste.subsumed_read import SubsumedRead
from otel_ext.signals.rules.waste.truncated_output import TruncatedOutput

RULES: Final[tuple[type[Rule[Any]], ...]] = (
    DuplicateSideEffect,
    EditTestThrash,
    ErrorRepeat,
    ErrorVariants,
    ErrorStreak,
    InvalidTool,
    HandoffPingPong,
    CompactionPersisted,
    Cycle,
    ExactRepeat,
    PollStalled,
    NoopEdit,
    StateOscillation,
    StateStagnation,
    NothingNew,
    NearDuplicate,
    SameResult,
    CycleUnverified,
    RepeatUnverified,
    LowNovelty,
    ToolStreak,
    TextChant,
    TextStreak,
    EmptyResponse,
    ReasoningRepeat,
    Monologue,
    DelegationRecursion,
    ReplanStall,
    CompactionThrash,
    RetryAmplification,
    RetryStorm,
    CrossAgentDuplicate,
    RetryNoBackoff,
    CompactionReread,
    RedundantRead,
    SubsumedRead,
    DuplicateFanout,
    PostCompletion,
    ShadowedWrite,
    CacheBust,
    CacheWriteUnread,
    TruncatedOutput,
    ContextGrowth,
    OversizedResult,
    SleepPoll,
    NoBatch,
    AbandonedSubagent,
    OverDelegation,
    CostSpike,
    CostVelocity,
    FailedCall,
    ModelSlowdown,
    Premature,
    DeadEnd,
    LimitHit,
    SilentToolError,
    NoVerification,
    BlindEdit,
    SingleToolDependency,
    OutputDecay,
    InputGrowth,
)
"""The built-in rules by precedence."""
