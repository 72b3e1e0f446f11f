"""MLflow's REST protocol, translated: whoever has `import mlflow` in their code changes one address and nothing else.

`routing` finds the endpoint, `messages` reads and writes the JSON, `errors` says what is wrong in MLflow's words; then one
file per resource, which calls the rooms. Nothing here stores anything or knows a rule.
"""
