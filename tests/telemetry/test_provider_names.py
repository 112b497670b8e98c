"""Providers of models have the names of the semantic conventions."""

from __future__ import annotations

import pytest

from slipway.telemetry.provider_names import provider_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("azure", "azure.ai.openai"),
        ("azure_openai", "azure.ai.openai"),
        ("amazon_bedrock", "aws.bedrock"),
        ("bedrock_converse", "aws.bedrock"),
        ("google_genai", "gcp.gemini"),
        ("google_vertexai", "gcp.vertex_ai"),
        ("mistralai", "mistral_ai"),
        ("xai", "x_ai"),
        ("ibm", "ibm.watsonx.ai"),
        ("ollama", "ollama"),
        ("one of the project", "one of the project"),
    ],
)
def test_the_conventions_count_more_than_langchain(name: str, expected: str) -> None:
    assert provider_name(name) == expected
    assert provider_name(expected) == expected
