# A Shiny app as you would write it anywhere: nothing in it knows of faucet.
#
# It shows what an app needs from the server in front of it: a WebSocket (the
# slider), an upload, a download, and one R process per visitor for all three.

library(shiny)

ui <- fluidPage(
  titlePanel("Shiny behind faucet"),
  sidebarLayout(
    sidebarPanel(
      sliderInput("n", "Number of points", min = 10, max = 1000, value = 200),
      fileInput("file", "Upload a text file"),
      downloadButton("download", "Download the points (CSV)")
    ),
    mainPanel(
      textOutput("summary"),
      plotOutput("plot", height = "320px"),
      verbatimTextOutput("upload")
    )
  )
)

server <- function(input, output, session) {
  points <- reactive(data.frame(x = rnorm(input$n), y = rnorm(input$n)))

  output$summary <- renderText(
    sprintf("%d points, drawn by worker %s.", nrow(points()), Sys.getenv("FAUCET_WORKER_ID", "?"))
  )

  output$plot <- renderPlot({
    plot(points(), pch = 19, col = "#1479b880", xlim = c(-4, 4), ylim = c(-4, 4))
  })

  output$upload <- renderText({
    req(input$file)
    lines <- readLines(input$file$datapath, n = 10, warn = FALSE)
    paste(c(sprintf("%s, %d bytes:", input$file$name, input$file$size), lines), collapse = "\n")
  })

  output$download <- downloadHandler(
    filename = "points.csv",
    content = function(file) write.csv(points(), file, row.names = FALSE)
  )
}

shinyApp(ui, server)
