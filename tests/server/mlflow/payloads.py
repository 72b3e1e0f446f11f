# ruff: noqa: E501
"""What an attacker sends, by the numbers of the governance spec's list; each test tries all of them on every parameter."""

from __future__ import annotations

TRAVERSALS = [  # SEC-01: out of the folder, however it is written
    "../../etc/passwd", "..", "../", "./..", "a/../../b", "/etc/passwd", "//etc/passwd", "///etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd", ".%2e/.%2e/etc/passwd",
    "%252e%252e/%252e%252e/etc/passwd", "%25252e%25252e%25252fetc", "..%c0%af..%c0%afetc", "..%ef%bc%8f..%ef%bc%8fetc",
    "..\\..\\windows\\win.ini", "..%5c..%5cwindows", "%2e%2e%5c%2e%2e%5c", "\\\\host\\share\\x", "\\etc\\passwd",
    "C:\\windows\\win.ini", "C:/windows/win.ini", "c:win.ini", "//host/share/x", "//proc/self/root/etc/passwd",
    "/proc/self/environ", "/proc/self/root/etc/passwd", "/dev/stdin", "/dev/zero", "~/.ssh/id_rsa", "~root/.bashrc",
    "file:///etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd", "file:../../etc/passwd",
    "file:///%2e%2e/etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "fi%6ce:///etc/passwd", "local:///etc/passwd",
    "http:///#/../../../../etc/passwd", "http:///?/../../../../etc/passwd", "http://#/../../etc/passwd",
    "http://host/api/2.0/mlflow-artifacts/artifacts/../../../etc/passwd", "https://host/%2e%2e/%2e%2e/etc/passwd",
    "http://host/x;/../../etc/passwd", "http://host/..;/..;/etc/passwd", "s3://bucket/a/../../b", "s3://bucket/a/%2e%2e/b",
    "s3:/bucket/x", "s3:///x", "gs://bucket/..", "dbfs:/../../etc", "dbfs:/./x", "jar:file:///etc/x.jar!/y", "unix:/run/x.sock",
    "runs:/../../etc/passwd", "runs:/x/../../../etc", "runs://host/x/y", "runs:/%2e%2e/x", "runs:///../x/y",
    "models:/../../etc", "models://host/x/1", "models:/x/%2e%2e", "mlflow-artifacts:/../../etc/passwd",
    "mlflow-artifacts:/0/%2e%2e/%2e%2e/etc", "mlflow-artifacts://host:5000/0/x/artifacts/y", "mlflow-artifacts:/etc/passwd",
    "mlflow-artifacts:///../../etc", "a\x00b", "../x\x00.txt", "s3://bucket/x%00.txt", "mlflow-artifacts:/0/x/artifacts%00/y",
    "s3://bucket/\u202egpj.exe", "s3://bucket/\u2024\u2024/x", "s3://bucket/\uff0e\uff0e/x", "s3://bucket/\u3002\u3002/x",
    "\uff0e\uff0e\uff0fetc\uff0fpasswd", "\u2025/etc/passwd", "s3://bucket/a\u200b/../b", "..\u2215..\u2215etc",
    "s3://bucket/" + "a/../" * 50, "s3://bucket/%" + "25" * 300 + "2e%2e/x", "a" * 5000, "../" * 2000,
    "data:text/html,<script>alert(1)</script>", "javascript:alert(1)", "vbscript:x", "blob:x", "view-source:file:///etc/passwd",
    "php://filter/resource=/etc/passwd/../x", "s3://user:secret@bucket/x", "https://u:p@host/x", " s3://bucket/x", "s3://bucket/x\n",
    "s3://bucket/a\r\nHost: evil", "...", "....//....//etc/passwd", "/.//./x", "http://host/x?versionId=../../etc",
]  # fmt: skip

INJECTIONS = [  # SEC-05: to a shell, a template, a database, a formatter
    "$(id)", "`id`", "; id", "| id", "&& id", "x\nid", "${7*7}", "{{7*7}}", "{%raw%}", "<%= 7 %>", "#{7*7}", "%s%s%n", "{0.__class__}",
    "' OR '1'='1", "'; DROP TABLE models; --", '" OR ""="', "x' AND 1=(SELECT 1)--", "\\'; --", "1) OR (1=1", "*", "%", "_",
    "__proto__", "constructor", "-rf", "--help", "\x1b[31m", "!!python/object/apply:os.system ['id']",
]  # fmt: skip

SCRIPTS = [  # SEC-10: to a page
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<svg/onload=alert(1)>", "javascript:alert(1)",
    "](javascript:alert(1))", "'-alert(1)-'", "</title><script>1</script>", "\u202eevil", "&lt;script&gt;",
]  # fmt: skip

ADDRESSES = [  # SEC-06: to a host that the server can reach and the client cannot
    "http://127.0.0.1/x", "http://[::1]/x", "http://169.254.169.254/latest/meta-data", "http://2130706433/x",
    "http://0x7f000001/x", "http://[::ffff:127.0.0.1]/x", "gopher://127.0.0.1:6379/_x", "ftp://127.0.0.1/x",
    "dict://127.0.0.1:11211/stat", "ldap://127.0.0.1/x", "https://localhost:8080/admin", "hdfs://10.0.0.1:8020/x",
]  # fmt: skip

LOOKALIKES = [  # SEC-14: names that look, fold or decode like `churn`
    "Churn", "CHURN", "churn ", " churn", "churn.", "churn%20", "chur%6e", "%63hurn", "churn\u200b", "ch\u00fcrn", "сhurn",
    "\uff43\uff48\uff55\uff52\uff4e", "churn\t", "churn\n", "churn\x00", "churn-", "churn--", "churn_", "churn/", "./churn",
    "churn/.", "churn%2f", "churn#", "churn?", "churn@1", "churn@champion", "model:churn", "churn:1",
]  # fmt: skip

HEAVY = [  # SEC-12: large, deep, or no number
    "x" * 100_001, "9" * 400, "-1", "0", "1e999", "NaN", "Infinity", "1.5", "1" + "0" * 30, "٣", "²", "0x1", "+1", "1_000",
    "01", "001", "1 ", " 1", "1\n", "𝟙",
]  # fmt: skip

EVERYTHING = [*TRAVERSALS, *INJECTIONS, *SCRIPTS, *ADDRESSES, *LOOKALIKES, *HEAVY]
