/** What every chart says. */
export default {
  "chart.interval": "95% interval",
  "chart.range": "{low} to {high}",
  "chart.csv": "CSV",
};
