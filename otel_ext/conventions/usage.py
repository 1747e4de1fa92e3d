"""Tokens and money that a model call tells, by the meaning of each key.

Law of this file: tokens in include what a cache gave and took (semantic conventions 1.40); tokens out
include thoughts. A producer that counts otherwise is corrected where it is known, not guessed at.
"""

import math
from collections.abc import Mapping
from typing import Any

from otel_ext.conventions.values import count_of, decode, first_count
from otel_ext.span import Value
from otel_ext.step import Observation

_COSTS = (
    "gen_ai.usage.cost",  # OpenLIT, Langfuse's and others' ingestion
    "operation.cost",  # Pydantic-AI, Logfire
    "llm.cost.total",  # OpenInference
    "gen_ai.cost.total_cost",  # LiteLLM
    "cost_usd",  # Claude Code
)


def read_usage(found: Observation, attributes: Mapping[str, Value]) -> None:
    """Fill in what `gen_ai.usage.*` and its older names tell."""
    found.input_tokens = first_count(
        attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"
    )
    found.output_tokens = first_count(
        attributes,
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
    )
    cached = found.cached_tokens = first_count(
        attributes,
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
    )
    created = found.created_tokens = first_count(
        attributes,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    )
    found.reasoning_tokens = first_count(
        attributes,
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens",
    )
    if found.input_tokens is not None and (cached or 0) + (created or 0) > found.input_tokens:
        # Less input than cache can only be a provider's own counting, which (Anthropic's usage block)
        # leaves out cache reads and writes both.
        found.input_tokens += (cached or 0) + (created or 0)


def read_details(found: Observation, details: Any) -> None:
    """Fill in a JSON object of counts: Langfuse's `usage_details`, MLflow's `tokenUsage`."""
    details = decode(details)
    if not isinstance(details, Mapping):
        return
    found.input_tokens = first_count(details, "input", "input_tokens", "prompt_tokens")
    found.output_tokens = first_count(details, "output", "output_tokens", "completion_tokens")
    cached = found.cached_tokens = first_count(
        details,
        *("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "cached_tokens"),
    )
    created = found.created_tokens = first_count(
        details, "input_cache_creation", "cache_creation_input_tokens", "input_cache_write"
    )
    found.reasoning_tokens = first_count(details, "output_reasoning_tokens", "output_reasoning", "reasoning")
    total = count_of(details.get("total"))
    if found.input_tokens is not None and total is not None:
        # Langfuse: `input` is what is left beside the other input counts, and `total` is the sum of all.
        beside = (cached or 0) + (created or 0)
        if beside and found.input_tokens + beside + (found.output_tokens or 0) <= total:
            found.input_tokens += beside


def cost_of(attributes: Mapping[str, Value]) -> float | None:
    """US dollars that the producer says a call cost; None when it says nothing."""
    for key in _COSTS:
        if key in attributes and (found := dollars(attributes[key])) is not None:
            return found
    return None


def dollars(value: Any) -> float | None:
    """An amount of money as a number or its text."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 32 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value < 1e9 else None
