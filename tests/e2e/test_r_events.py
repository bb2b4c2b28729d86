"""contrib/r/faucet_event.R: what R apps write with it is a log event of the request in which it was written."""
import json
import os
import re
import shutil
import subprocess
import uuid

import pytest

from faucet import ROOT

SNIPPET = os.path.join(ROOT, "contrib", "r", "faucet_event.R")


def test_lines():
    script = """source("%s")
set.seed(1); expected <- runif(1); set.seed(1)
id <- faucet_event("\\u00f1 \\"q\\"\\nnext", "Warn", "sql", list(HTTP_FAUCET_REQUEST_UUID = "0190b5a2-0000-7000-8000-000000000001"), list(n = 1:3, none = NA))
stopifnot(runif(1) == expected)
faucet_event(c("two", "parts"), parent = id)""" % SNIPPET
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                          "FAUCET_APP": "sales", "FAUCET_WORKER_ID": "3", "HOME": "/nonexistent"})
    assert done.returncode == 0, done.stderr
    events = [json.loads(line.partition(": ")[2]) for line in done.stderr.splitlines() if line.startswith("{{ faucet_event }}: ")]
    assert len(events) == 2
    first, second = events
    assert first == {"target": "Worker::sales::3", "event_id": first["event_id"], "level": "Warn", "parent_event_id": None, "event_type": "sql",
                     "message": 'ñ "q"\nnext', "body": {"n": [1, 2, 3], "none": None, "request_uuid": "0190b5a2-0000-7000-8000-000000000001"}}
    assert uuid.UUID(first["event_id"]).version == 4
    assert second["parent_event_id"] == first["event_id"] and second["body"] == {} and second["message"] == "two parts"


def test_plumber_says_which_request(faucet):
    f = faucet(start=False)
    f.file("api/plumber.R", 'source("faucet_event.R")\n#* @get /x\nfunction(req) { faucet_event("saved", request = req); list(uuid = '
                            "faucet_request_uuid(req)) }\n")
    shutil.copy(SNIPPET, os.path.join(f.dir, "api"))
    f.write({"log": {"format": "json"}, "apps": {"api": {"dir": "api"}}})
    f.start()
    response = f.get("/api/x")
    assert response.status == 200
    given = json.loads(response.body)["uuid"][0]
    assert given == response["Faucet-Request-Uuid"]
    assert '"message":"saved"' in f.log_contains(r"\{.*saved.*\}").group(0)


@pytest.mark.parametrize("doc", ["docs/telemetry.md", "docs/es/telemetria.md"])
def test_documents_show_it_as_it_is(doc):
    text = open(os.path.join(ROOT, doc)).read()
    assert "contrib/r/faucet_event.R" in text
    used = set(re.findall(r"faucet_(?:event|request_uuid)\(", "".join(re.findall(r"```r\n(.*?)```", text, re.S))))
    assert used == {"faucet_event(", "faucet_request_uuid("}
