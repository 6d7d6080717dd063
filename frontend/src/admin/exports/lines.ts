import { exportAddress, type ExportContent, type ExportFormat } from "$lib/api/results";

/** The name that the server gives the downloaded file. */
export function fileName(slug: string, kind: ExportContent, format: ExportFormat, round: string | null, split: string | null): string {
  return `${slug}${round ? `-round-${round}` : ""}${split ? `-${split}` : ""}-${kind}.${format}`;
}

/** Python that reads the downloaded file. */
export function loadLine(file: string, format: ExportFormat): string {
  const reader = format === "jsonl" ? "json" : "parquet";
  return `from datasets import load_dataset\ndataset = load_dataset("${reader}", data_files="${file}", split="train")`;
}

/** A shell line that downloads with an API token; the token stays in a variable, out of the history. */
export function curlLine(origin: string, slug: string, round: string | null, split: string | null): string {
  const path = exportAddress(slug, "comparisons", "parquet", { round, split });
  return `curl --fail --header "Authorization: Token $PREFLOOP_TOKEN" \\\n  --output ${fileName(slug, "comparisons", "parquet", round, split)} "${origin}${path}"`;
}
