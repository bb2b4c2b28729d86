#* Says what it was sent
#* @get /echo
#* @serializer unboxedJSON
function(req, msg = "") list(msg = msg, path = req$PATH_INFO, query = req$QUERY_STRING, prefix = req$HTTP_X_FORWARDED_PREFIX,
                             forwarded = req$HTTP_X_FORWARDED_FOR, worker = Sys.getenv("FAUCET_WORKER_ID"), pid = Sys.getpid())

#* @post /sum
#* @serializer unboxedJSON
function(a, b) list(sum = as.numeric(a) + as.numeric(b))

#* @post /size
#* @serializer unboxedJSON
function(req) list(bytes = length(req$bodyRaw))

#* @get /sleep
#* @serializer unboxedJSON
function(s = 1) { Sys.sleep(as.numeric(s)); list(slept = as.numeric(s)) }

#* @get /fail
function() stop("deliberate")

#* @get /env
#* @serializer unboxedJSON
function(name) list(value = Sys.getenv(name, unset = NA))

#* @get /say
#* @serializer unboxedJSON
function(text) { message(text); cat(text, "\n"); list(said = text) }

#* @get /moved
function(res) { res$status <- 302L; res$setHeader("Location", "/echo"); "" }
