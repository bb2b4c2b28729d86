library(shiny)
ui <- fluidPage(
  titlePanel("end to end"),
  sliderInput("n", "n", min = 0, max = 100, value = 10),
  textOutput("text"),
  textOutput("pid"),
  fileInput("file", "file"),
  textOutput("upload"),
  downloadLink("download", "download")
)
server <- function(input, output, session) {
  output$text <- renderText(paste("n is", input$n))
  output$pid <- renderText(paste("pid", Sys.getpid()))
  output$upload <- renderText({
    req(input$file)
    paste("got", input$file$name, file.size(input$file$datapath), unname(tools::md5sum(input$file$datapath)))
  })
  output$download <- downloadHandler("numbers.csv", content = function(file) writeLines(as.character(seq_len(isolate(input$n))), file))
}
options(shiny.maxRequestSize = 64 * 1024^2)
shinyApp(ui, server)
