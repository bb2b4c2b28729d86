pr <- plumber::pr()
plumber::pr_get(pr, "/hello", function() list(from = "entrypoint"), serializer = plumber::serializer_unboxed_json())
