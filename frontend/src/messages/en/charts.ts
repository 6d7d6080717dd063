/** What every chart says. */
export default {
  "chart.interval": "95% interval",
  "chart.range": "{low} to {high}",
  "chart.csv": "CSV",
  "chart.csvText": "Download CSV",
  "chart.csvOf": "Download {title} as CSV",
  "chart.table": "Show as table",
  "chart.tableOf": "Show {title} as table",
  "chart.asTable": "{title}, as a table",
  "chart.log": "log",
  "chart.logOf": "log scale for {title}",
  "chart.logText": "Logarithmic scale; values of zero and below are left out",
  "chart.all": "Show all",
  "chart.legend": "Lines and their values",
  "chart.outline": "{label}: {first} at first, {last} at last; lowest {lowest} at {x} {lowestAt}, highest {highest} at {x} {highestAt}.",
};
