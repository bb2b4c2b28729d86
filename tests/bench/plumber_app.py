"""The Plumber app of the bench, and the same run for HAProxy: one R process per TCP port."""
APP = """
#* A fast reply
#* @get /fast
#* @serializer unboxedJSON
function() list(ok = TRUE)

#* A slow one
#* @get /slow
#* @serializer unboxedJSON
function() { Sys.sleep(0.4); list(ok = TRUE) }
"""


def write(servers):
    app = servers.dir / "plumber"
    app.mkdir(exist_ok=True)
    (app / "plumber.R").write_text(APP)
    return app


def faucet_app(app, workers):
    return f"  api: {{ type: plumber, dir: '{app}', workers: {workers}, route: /, queue: {{ size: 10000 }} }}"


def tcp_worker(servers, app, port):
    code = f"plumber::plumb('plumber.R')$run(host='127.0.0.1', port={port}, quiet=TRUE, docs=FALSE)"
    return servers.start(["Rscript", "-e", code], cwd=app)
