"""A model card as Markdown (with the metadata header that model hubs read) and as one HTML page."""

from __future__ import annotations

import html
import json

from modelwright.governance.card import missing_text
from modelwright.governance.records import CardField, ModelCard, Origin


def to_markdown(card: ModelCard) -> str:
    """The card as Markdown, its header in YAML as Hugging Face defines it: licence, library, data sets, model index."""
    parts = [
        _header(card),
        f"# {card.ref}",
        f"{card.completeness} % of this card is filled, as of {card.at:%Y-%m-%d %H:%M} UTC.",
    ]
    for section in card.sections:
        parts.append(f"## {section.title}")
        parts += [_field(field) for field in section.fields]
    return "\n\n".join(parts) + "\n"


def to_html(card: ModelCard) -> str:
    """The card as one page that needs nothing else: readable on paper, and its gaps visible."""
    body = []
    for section in card.sections:
        rows = "\n".join(_row(field) for field in section.fields)
        body.append(f"<section><h2>{html.escape(section.title)}</h2>\n<dl>\n{rows}\n</dl></section>")
    title = html.escape(str(card.ref))
    filled = f"{card.completeness} % filled, {card.at:%Y-%m-%d %H:%M} UTC"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Model card: {title}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>{title}</h1>\n<p>{filled}</p>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;color-scheme:light dark}"
    "dt{font-weight:600;margin-top:.8rem}dd{margin:0}.missing{color:#b3261e;font-weight:600}"
    "small{opacity:.7}@media print{body{margin:0}}"
)


def _header(card: ModelCard) -> str:
    """YAML whose scalars are JSON strings: JSON is a part of YAML, so that nothing in a name can break out of it."""
    lines = ["---"]
    if card.licence:
        lines.append(f"license: {json.dumps(card.licence.lower())}")
    if card.library:
        lines.append(f"library_name: {json.dumps(card.library)}")
    lines.append('tags: ["modelwright"]')
    if card.datasets:
        lines.append(f"datasets: {json.dumps(card.datasets)}")
    if card.results:
        lines.append(f"metrics: {json.dumps(list(card.results))}")
        metrics = [{"type": name, "value": value} for name, value in card.results.items()]
        task = {"type": "tabular-classification" if "roc_auc" in card.results else "tabular-regression"}
        dataset = {"type": "modelwright", "name": "evaluation"}
        index = [{"name": card.ref.name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}]
        lines.append(f"model-index: {json.dumps(index)}")
    return "\n".join([*lines, "---"])


def _field(field: CardField) -> str:
    if field.origin is Origin.MISSING:
        return f"**{field.title}**: {missing_text(field)}"
    lines = [_plain(line) for line in field.lines]
    text = lines[0] if len(lines) == 1 else "\n\n" + "\n".join(f"- {line}" for line in lines)
    return f"**{field.title}**: {text}\n\n<sub>{_source(field)}</sub>"


def _plain(line: str) -> str:
    """A line of a statement cannot begin a heading, a list or HTML of its own."""
    return html.escape(line, quote=False).replace("\\", "\\\\").replace("*", "\\*").replace("_", "\\_").replace("`", "\\`")


def _row(field: CardField) -> str:
    title = html.escape(field.title)
    if field.origin is Origin.MISSING:
        return f'<dt>{title}</dt><dd class="missing">{html.escape(missing_text(field))}</dd>'
    lines = "<br>".join(html.escape(line) for line in field.lines)
    return f"<dt>{title}</dt><dd>{lines}<br><small>{html.escape(_source(field))}</small></dd>"


def _source(field: CardField) -> str:
    said = f"{field.origin.value} by {field.by}" if field.by else field.origin.value
    shown = ", ".join(field.sources[:6]) + (" and more" if len(field.sources) > 6 else "")
    return f"{said}; {shown}" if shown else said
