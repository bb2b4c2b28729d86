"""contrib/r/faucet_event.R: what R apps write with it is a log event of the request in which it was written."""
import asyncio
import json
import os
import re
import shutil
import subprocess
import uuid

import pytest
import websockets

from faucet import ROOT
from postgres import Postgres
from telemetry import Rows, full_database, settings

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


PLUMBER = """source("faucet_event.R")
#* @get /x
#* @serializer unboxedJSON
function(req) { faucet_event("saved", request = req, body = list(order = 17)); list(uuid = faucet_request_uuid(req)) }
"""
SHINY = """library(shiny)
source("faucet_event.R")
ui <- function(request) { faucet_event("page asked for", request = request); fluidPage(textOutput("uuid")) }
server <- function(input, output, session) {
  first <- faucet_event("session began", request = session$request)
  output$uuid <- renderText(faucet_request_uuid(session$request))
  observeEvent(input$save, faucet_event("saved", "Warn", "order", session$request, list(order = input$save), parent = first))
}
shinyApp(ui, server)
"""


@pytest.fixture
def apps_with_a_database(faucet):
    """(a faucet with both apps, its rows)"""
    with Postgres() as pg:
        rows = Rows(pg, full_database(pg, "r"))
        f = faucet(start=False)
        for path, text in (("api/plumber.R", PLUMBER), ("dash/app.R", SHINY)):
            f.file(path, text)
            shutil.copy(SNIPPET, os.path.dirname(os.path.join(f.dir, path)))
        f.write({"telemetry": settings(pg, rows.name), "apps": {
            "api": {"dir": "api", "telemetry": {"namespace": "n-api", "version": "1"}},
            "dash": {"dir": "dash", "telemetry": {"namespace": "n-dash", "version": "2"}}}})
        f.start()
        yield f, rows
        f.stop()


def event_of(rows, uuid, message):
    """The log event of that request, with whom it is about and the request's own row beside it."""
    found = rows.wait(1, "faucet_log_events", "request_uuid = %s AND message = %s", (uuid, message))
    assert len(found) == 1
    request, event = rows.of(uuid), found[0]
    assert [event[c] for c in ("namespace", "version", "app", "worker_id", "target")] == [request[c] for c in ("namespace", "version", "app", "worker_id", "target")]
    assert request["time"] <= event["time"]
    return request, event


def test_the_request_is_in_the_database_with_its_events(apps_with_a_database):
    f, rows = apps_with_a_database
    response = f.get("/api/x")
    uuid = response["Faucet-Request-Uuid"]
    assert json.loads(response.body)["uuid"] == uuid
    request, event = event_of(rows, uuid, "saved")
    assert (request["status"], request["namespace"], event["level"], event["body"]["order"]) == (200, "n-api", "Info", 17)

    page = f.get("/dash/")
    assert page.status == 200
    assert event_of(rows, page["Faucet-Request-Uuid"], "page asked for")[0]["status"] == 200

    async def session():
        """What a browser says to Shiny, and what it is told: the text of output$uuid."""
        async with websockets.connect(f.url("/dash/websocket/", "ws"), ping_interval=None) as ws:
            await ws.send(json.dumps({"method": "init", "data": {"save": None, ".clientdata_output_uuid_hidden": False}}))
            said = await until_said(ws, "uuid")
            await ws.send(json.dumps({"method": "update", "data": {"save": 23}}))
            await asyncio.to_thread(rows.wait, 1, "faucet_log_events", "message = 'saved' AND app = 'dash'")
            return ws.response_headers["Faucet-Request-Uuid"], said

    async def until_said(ws, output):
        while True:
            values = json.loads(await asyncio.wait_for(ws.recv(), 30)).get("values") or {}
            if output in values:
                return values[output]
    uuid, said = asyncio.run(session())
    assert said == uuid, "the app sees the uuid that the client was told"
    request, began = event_of(rows, uuid, "session began")
    assert request["status"] == 101 and request["namespace"] == "n-dash"
    _, saved = event_of(rows, uuid, "saved")
    assert (saved["level"], saved["event_type"], saved["body"]["order"], saved["parent_event_id"]) == ("Warn", "order", 23, began["event_id"])
    ended = rows.wait(1, "faucet_session_events", "request_uuid = %s", (uuid,))[0]
    assert ended["ended"] == "client_closed" and ended["app"] == "dash"


@pytest.mark.parametrize("doc", ["docs/telemetry.md", "docs/es/telemetria.md"])
def test_documents_show_it_as_it_is(doc):
    text = open(os.path.join(ROOT, doc)).read()
    assert "contrib/r/faucet_event.R" in text
    used = set(re.findall(r"faucet_(?:event|request_uuid)\(", "".join(re.findall(r"```r\n(.*?)```", text, re.S))))
    assert used == {"faucet_event(", "faucet_request_uuid("}
