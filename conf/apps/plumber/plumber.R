# A Plumber API as you would write it anywhere: nothing in it knows of faucet.
# Its documentation is at /plumber/__docs__/.

#* @apiTitle Plumber behind faucet

#* Where things are
#* @serializer unboxedJSON
#* @get /
function() {
  list(hello = "hello?name=you", docs = "__docs__/")
}

#* Say hello
#* @param name Whom to greet
#* @serializer unboxedJSON
#* @get /hello
function(name = "world") {
  list(message = paste0("Hello, ", name, "!"), worker = Sys.getenv("FAUCET_WORKER_ID"))
}

#* The mean of some normal random numbers
#* @param n:int How many
#* @serializer unboxedJSON
#* @get /mean
function(n = 100) {
  n <- min(max(as.integer(n), 1L), 1000000L)
  list(n = n, mean = mean(rnorm(n)))
}

#* Fit a line through points: post {"x": [1, 2, 3], "y": [2, 4, 6]}
#* @serializer unboxedJSON
#* @post /fit
function(req, res) {
  x <- as.numeric(req$body$x)
  y <- as.numeric(req$body$y)
  if (length(x) < 2 || length(x) != length(y)) {
    res$status <- 400
    return(list(error = "x and y must be two or more numbers each, as many x as y"))
  }
  line <- coef(lm(y ~ x))
  list(intercept = line[[1]], slope = line[[2]])
}

#* Take a while. Ask /hello meanwhile: the other worker answers.
#* @param seconds:numeric How long, 10 at most
#* @serializer unboxedJSON
#* @get /slow
function(seconds = 2) {
  seconds <- min(max(as.numeric(seconds), 0), 10)
  Sys.sleep(seconds)
  list(slept = seconds, worker = Sys.getenv("FAUCET_WORKER_ID"))
}
