"""What the pages say, without a browser."""

from __future__ import annotations

import re
from typing import Any

import httpx

NAMES = (
    "/", "/datasets", "/features", "/pipelines", "/runs", "/models", "/deployments", "/monitors", "/alerts",
    "/incidents", "/policies", "/retention", "/audit",
)  # fmt: skip


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def said(browse: httpx.Client, path: str) -> str:
    answer = browse.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {text_of(answer.text)[-400:]}"
    return text_of(answer.text)


def test_every_page_answers_and_every_link_between_them_leads_somewhere(site: Any, browse: httpx.Client) -> None:
    seen, waiting = set(), [*site.paths]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = browse.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {text_of(answer.text)[-400:]}"
        links = re.findall(r'href="(/[^"#]*)', answer.text)
        waiting += [link.replace("&amp;", "&") for link in links if not link.startswith(("/static/", "/api/"))]
    assert len(seen) > 60


def test_the_overview_serves_a_leader_and_an_operator(browse: httpx.Client) -> None:
    page = said(browse, "/")
    assert "1 model answers in production; 1 incident is open" in page
    assert "delay production" in page
    assert "Lead time" in page and "Changes that failed" in page
    assert "Latest events" in page


def test_a_dataset_shows_what_changed_and_which_check_warned(browse: httpx.Client) -> None:
    page = said(browse, "/datasets/delays@2?against=1")
    assert "Changes from @1 to @2" in page
    assert "warn" in page and "range(x)" in page
    assert re.search(r"added id 300 ?, at 2013-05-13 12:00 ?, x \d", page)
    assert "contract:delays@1 is broken: promised columns." in page and "x is double, not text." in page
    assert "contract:delays@1 is broken" in said(browse, "/features/numbers")
    drawn = re.findall(r'class="shape".*?<title>(.*?)</title>', browse.get("/datasets/delays@2?against=1").text)
    assert any(re.fullmatch(r"Distribution of x before and after: 0\.\d+ to 9\.\d+", each) for each in drawn)
    assert any(
        re.fullmatch(r"Distribution of origin before and after: \u2068\w+\u2069 33\.3\s% → 33\.\d\s%", each)
        for each in drawn
    )


def test_a_view_shows_what_its_features_matter_to_models_and_what_it_costs(browse: httpx.Client) -> None:
    listed = said(browse, "/features?sort=importance")
    assert re.search(
        r"Sorted by newest , what matters most , bytes , seconds , reads .* model:delay@2 live 100\s% 7", listed
    )
    page = said(browse, "/features/numbers@1")
    assert re.search(
        r'"x" x model:delay@1 100\s% model:delay@2 100\s% .*"y" y model:delay@1 idle', page.replace("&#34;", '"')
    )
    assert re.search(r"Source [\d.]+ KiB, 400 rows of the whole dataset", page)
    assert re.search(r"Training set in [\d.]+ m?s for 2 rows, 1 May 2013", page)


def test_a_view_shows_where_models_live_on_its_features_and_how_far_each_drifted(browse: httpx.Client) -> None:
    assert re.search(r"delay@\d live", said(browse, "/features"))
    page = said(browse, "/features/numbers@1")
    assert re.search(r"Live in .*?delay@\d x, y .*?production since \d", page)
    assert re.search(r"x FP64 .*? drifted 0\.3", page) and re.search(r"y FP64 .*? steady 0\.0", page)


def test_a_run_shows_what_mlflow_says_that_it_read(browse: httpx.Client, site: Any) -> None:
    run = site.workspace.experiments.search("", experiments=["read"]).items[0]
    page = said(browse, f"/runs/{run.id}")
    assert "Runs of read" in page and "Read besides prices training, digest 8c2a, from s3" in page


def test_the_addresses_that_mlflow_prints_lead_to_our_pages(browse: httpx.Client, site: Any) -> None:
    run = site.workspace.experiments.search("", experiments=["sweep"], limit=1).items[0]
    sweep = f"/experiments/{run.experiment_id}"
    leads = {
        f"{sweep}/runs/{run.id}": f"/runs/{run.id}",
        f"{sweep}/runs/{run.id}/artifacts/a": f"/runs/{run.id}",
        sweep: "/runs?experiment=sweep",
        f"{sweep}/traces": "/traces?experiment=sweep",
        f"{sweep}/traces?selectedEvaluationId=tr-1": "/traces/tr-1",
        f"{sweep}/models/m-{'a' * 32}": f"/record/logged-model:m-{'a' * 32}",
        "/models/delay/versions/2": "/models/delay@2",
        "/models/delay": "/models/delay",
        "/prompts/hello": "/models/hello",
        "//elsewhere.example/": "/",
        "https://elsewhere.example": "/",
    }
    assert {at: browse.get("/mlflow", params={"at": at}).headers["location"] for at in leads} == leads
    assert browse.get("/mlflow", params={"at": "/experiments/999"}).status_code == 404


def test_a_prompt_shows_its_text_and_waits_for_no_gate(browse: httpx.Client, site: Any) -> None:
    site.workspace.models.log_folder(
        "hello", {}, source="text", tags={"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "Say {{x}}"}
    )
    page = said(browse, "/models/hello@1")
    assert "hello @1 prompt" in page and "The prompt Say {{x}}" in page
    assert "Model card" not in page and "Gate" not in page
    assert "model:hello@1 to staging" not in said(browse, "/")


def test_a_model_lists_its_files(browse: httpx.Client) -> None:
    page = said(browse, "/models/delay@1")
    assert re.search(r"Files Path Size Digest model\.skops \d+\.\d KiB \w{12}", page) and "some rows of input" in page


def test_a_dataset_of_files_shows_them_the_largest_first(browse: httpx.Client) -> None:
    page = said(browse, "/datasets/photos@2?against=1")
    assert page.index("large.jpg 4.9 KiB", page.index("Files Path Size")) < page.index("small.jpg")
    assert "added large.jpg" in page
    assert "Nobody has checked" not in page


def test_an_execution_says_why_each_step_ran(browse: httpx.Client, site: Any) -> None:
    executions = site.workspace.pipelines.list_executions().items
    assert "parameter rows changed: 3 → 4" in said(browse, f"/executions/{executions[0].id}")


def test_a_model_shows_its_gate_evidence_card_and_aliases(browse: httpx.Client) -> None:
    page = said(browse, "/models/delay@1")
    for part in ("champion", "evaluation", "calibration", "slices", "Model card", "Warn of late arrivals.", "promote"):
        assert part in page, part


def test_a_deployment_shows_traffic_guardrails_and_latency(browse: httpx.Client) -> None:
    page = said(browse, "/deployments/delay")
    assert "model:delay@1 90 %" in page and "model:delay@2 10 %" in page
    for part in ("Guardrail", "errors", "Requests", "p95", "Drift", "roc_auc"):
        assert part in page, part


def test_the_audit_page_verifies_the_ledger(browse: httpx.Client) -> None:
    page = said(browse, "/audit?verify=1")
    assert "verified" in page and "events were read and recomputed" in page


def test_events_can_be_narrowed(browse: httpx.Client) -> None:
    html = browse.get("/audit?actor=ben").text
    table = html[html.index('class="events"') :]
    assert "ben" in table and "olga" not in text_of(table)


def test_what_is_not_there_is_a_page_too(browse: httpx.Client) -> None:
    for path in ("/models/nothing", "/nowhere", "/runs/01NOTHING", "/audit/99999", "/alerts/77"):
        answer = browse.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"].startswith("text/html")
        assert "There is nothing here" in answer.text
    assert browse.get("/record/what").status_code == 400


def test_programs_still_get_json(site: Any) -> None:
    answer = httpx.get(f"{site.url}/nowhere", headers={"accept": "application/json"})
    assert answer.json()["error"]["code"] == "not-found"


def test_no_page_asks_for_anything_from_elsewhere(site: Any, browse: httpx.Client) -> None:
    for path in site.paths:
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', browse.get(path).text), path


def test_scripts_may_neither_be_inline_nor_evaluated(browse: httpx.Client) -> None:
    policy = browse.get("/").headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy


def test_a_comparison_can_be_saved_and_found_and_forgotten(site: Any, browse: httpx.Client) -> None:
    path = next(path for path in site.paths if path.startswith("/runs/compare"))
    query = path.partition("?")[2]
    form = {"experiment": "delay", "name": "my favourites", "page": "compare", "query": query}
    saved = browse.post("/views", data=form)
    assert saved.status_code == 303 and saved.headers["location"] == path
    assert "my favourites" in said(browse, path)
    gone = browse.post("/views", data=form | {"forget": "yes"})
    assert gone.status_code == 303
    assert "my favourites" not in said(browse, path)


def test_a_view_leads_nowhere_but_to_the_pages_of_runs(browse: httpx.Client) -> None:
    form = {"experiment": "delay", "name": "x", "page": "//elsewhere.example", "query": ""}
    answer = browse.post("/views", data=form)
    assert answer.status_code == 400 and "location" not in answer.headers


def test_a_baseline_is_chosen_on_the_page(site: Any, browse: httpx.Client) -> None:
    path = next(path for path in site.paths if path.startswith("/runs/compare"))
    page = browse.get(path).text
    other = re.search(r'href="(\?baseline=[^"]+)"[^>]*>as baseline', page)
    assert other is not None
    turned = said(browse, "/runs/compare" + other[1].replace("&amp;", "&"))
    before, after = (re.search(r"measured against (\S+)", text) for text in (text_of(page), turned))
    assert before is not None and after is not None and before[1] != after[1]


def test_runs_are_found_by_what_they_logged_and_put_in_order(browse: httpx.Client) -> None:
    everything = browse.get("/runs").text
    names = re.findall(r'Compare ([\w-]+)"', everything)
    assert len(names) > 1
    ordered = browse.get("/runs", params={"order": "attributes.run_name ASC"}).text
    assert re.findall(r'Compare ([\w-]+)"', ordered) == sorted(names)
    one = browse.get("/runs", params={"where": f"run_name = '{names[0]}'"}).text
    assert re.findall(r'Compare ([\w-]+)"', one) == [names[0]]
    assert "No run is like that" in browse.get("/runs", params={"where": "run_name = 'nobody'"}).text


def test_a_filter_that_is_wrong_is_explained_beside_it(browse: httpx.Client) -> None:
    answer = browse.get("/runs", params={"where": "metrics.auc > 'high' <script>"})
    assert answer.status_code == 200
    assert 'aria-invalid="true"' in answer.text and "<script>" not in answer.text.partition("<main")[2]
    assert "Invalid" in text_of(answer.text)


def test_all_runs_of_a_list_are_drawn_at_once(browse: httpx.Client) -> None:
    page = browse.get("/runs", params={"charts": "on"})
    assert page.status_code == 200
    assert "Every run a line" in page.text or "Nothing differs among these runs" in page.text


def test_a_trace_is_a_tree_of_spans_along_time(browse: httpx.Client, site: Any) -> None:
    path = next(path for path in site.paths if path.startswith("/traces/"))
    said_there = said(browse, path)
    for word in ("look up", "RETRIEVER", "the index did not answer", "When does it leave?", "helpful", "false", "desk"):
        assert word in said_there, word
    assert browse.get(path).text.count('<details class="span"') == 3


def test_traces_are_found_by_a_word_and_by_a_filter(browse: httpx.Client) -> None:
    for query in ("late one", "feedback.helpful = 'false'", "span.status = 'ERROR' AND span.type = 'LLM'"):
        assert "When does it leave?" in browse.get("/traces", params={"q": query}).text, query
    for query in ("nowhere to be found", "feedback.helpful = 'true'"):
        assert "When does it leave?" not in browse.get("/traces", params={"q": query}).text, query
    wrong = browse.get("/traces", params={"q": "nothing = 'a'"})
    assert wrong.status_code == 200
    assert "there is no field" in wrong.text


def test_runs_within_runs_are_a_tree_that_can_be_left_out(browse: httpx.Client) -> None:
    assert _tree(browse, "") == ["0 outer", "1 fold 0", "2 innermost", "1 fold 2", "1 fold 1"]
    assert _tree(browse, "&q=innermost") == ["0 (outer)", "1 (fold 0)", "2 innermost"]
    assert _tree(browse, "&nesting=outermost") == ["0 outer"]
    assert _tree(browse, "&nesting=flat&q=fold") == ["0 fold 2", "0 fold 1", "0 fold 0"]


def _tree(browse: httpx.Client, further: str) -> list[str]:
    answer = browse.get(f"/runs?experiment=sweep{further}")
    assert answer.status_code == 200
    line = r'<tr data-depth="(\d)"( class="around")?.*?class="strong"[^>]*>([^<]+)<'
    found = re.findall(line, answer.text, re.DOTALL)
    return [f"{depth} ({name})" if around else f"{depth} {name}" for depth, around, name in found]
