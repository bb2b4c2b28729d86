# Log events for faucet's telemetry, with base R and jsonlite alone. Copy this file into your app and source() it.
#
#   faucet_event("order saved", request = req, body = list(order = 17))            # Plumber
#   faucet_event("no stock", "Warn", request = session$request)                    # Shiny
#
# Each call writes one line `{{ faucet_event }}: {json}` to standard error. faucet logs it and, with telemetry on, stores it in
# faucet_log_events; without faucet it is just a line. Keep a line below 64 KiB. Returns the event's id, invisibly, for `parent`.
faucet_event <- function(message, level = c("Info", "Warn", "Error", "Debug", "Trace"), type = "log", request = NULL, body = list(),
                         parent = NULL) {
  level <- match.arg(level)
  body <- as.list(body)
  uuid <- faucet_request_uuid(request)
  if (!is.null(uuid)) body$request_uuid <- uuid
  if (length(body) == 0L) body <- structure(list(), names = character())
  target <- paste("Worker", Sys.getenv("FAUCET_APP", "app"), Sys.getenv("FAUCET_WORKER_ID", "0"), sep = "::")
  event <- list(target = target, event_id = faucet_uuid(), level = level, parent_event_id = parent, event_type = type,
                message = enc2utf8(paste(message, collapse = " ")), body = body)
  json <- jsonlite::toJSON(event, auto_unbox = TRUE, null = "null", na = "null", digits = NA, force = TRUE)
  writeLines(paste0("{{ faucet_event }}: ", json), con = stderr())
  invisible(event$event_id)
}

# The id that faucet gave the request (header Faucet-Request-Uuid): of Plumber's `req`, of Shiny's `session$request` (there it is
# the request that opened the session), or as text. NULL: none.
faucet_request_uuid <- function(request) {
  uuid <- if (is.character(request)) request[1L] else if (!is.null(request)) request[["HTTP_FAUCET_REQUEST_UUID"]]
  if (is.null(uuid) || is.na(uuid) || !nzchar(uuid)) NULL else uuid
}

# A random UUID; the app's own random numbers (set.seed) stay as they are.
faucet_uuid <- function() {
  source <- file("/dev/urandom", "rb", raw = TRUE)
  on.exit(close(source))
  bytes <- as.integer(readBin(source, "raw", 16L))
  bytes[7L] <- bitwOr(bitwAnd(bytes[7L], 0x0fL), 0x40L)
  bytes[9L] <- bitwOr(bitwAnd(bytes[9L], 0x3fL), 0x80L)
  hex <- sprintf("%02x", bytes)
  paste(vapply(list(1:4, 5:6, 7:8, 9:10, 11:16), function(i) paste(hex[i], collapse = ""), ""), collapse = "-")
}
