"""The names of providers of models in spans.

LangChain's packages and `init_chat_model` have names of their own for some providers. The semantic conventions for
generative AI say which name a span must have for those that they know.

https://github.com/open-telemetry/semantic-conventions-genai/blob/v0.1.0/docs/gen-ai/gen-ai-spans.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OF_CONVENTIONS: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws.bedrock",
    "anthropic_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def provider_name(provider: str) -> str:
    """The name of a provider in spans: that of the conventions, or else the one that LangChain has for it."""
    return _OF_CONVENTIONS.get(provider, provider)
