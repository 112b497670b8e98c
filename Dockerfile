FROM python:3.13-slim

WORKDIR /srv/slipway
RUN useradd --create-home slipway
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY pyproject.toml README.md LICENSE langgraph.json ./
COPY app app
COPY workers workers
COPY examples examples
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

COPY requirements-sbom.txt ./
RUN python -m venv /tmp/sbom && /tmp/sbom/bin/pip install --no-cache-dir --require-hashes --requirement requirements-sbom.txt && /tmp/sbom/bin/cyclonedx-py environment "$(command -v python)" --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file sbom.cdx.json && rm -rf /tmp/sbom

USER slipway
ENV PYTHONUNBUFFERED=1 SLIPWAY_HOST=0.0.0.0 PORT=8123
EXPOSE 8123
CMD ["slipway", "web"]
