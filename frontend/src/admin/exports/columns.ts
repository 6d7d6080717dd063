import type { ExportKind } from "$lib/api/results";
import type { MessageKey } from "$lib/catalogue.svelte";

/** The columns of the exported files, in their order; both formats have the same. */
export const COLUMNS: Record<ExportKind, readonly { names: string; type: string; text: MessageKey }[]> = {
  comparisons: [
    { names: "prompt", type: "messages", text: "admin.column.prompt" },
    { names: "chosen, rejected", type: "messages", text: "admin.column.sides" },
    { names: "chosen_id, rejected_id", type: "int", text: "admin.column.ids" },
    { names: "chosen_model, rejected_model", type: "text", text: "admin.column.models" },
    { names: "chosen_cut_off, rejected_cut_off", type: "bool", text: "admin.column.cut_off" },
    { names: "round, split", type: "int, text", text: "admin.column.round" },
    { names: "ranking_id, labeler, comparison_id", type: "int, text, int", text: "admin.column.origin" },
    { names: "strength", type: "int", text: "admin.column.strength" },
    { names: "chosen_unacceptable, rejected_unacceptable", type: "bool", text: "admin.column.unacceptable" },
  ],
  rankings: [
    { names: "prompt", type: "messages", text: "admin.column.prompt" },
    { names: "completions", type: "list", text: "admin.column.completions" },
    { names: "tiers", type: "list of lists", text: "admin.column.tiers" },
    { names: "strengths", type: "list of int", text: "admin.column.strengths" },
    { names: "unacceptable, unacceptable_reasons", type: "lists", text: "admin.column.marks" },
    { names: "shown", type: "list of int", text: "admin.column.shown" },
    { names: "ranking_id, labeler, created_at, revision, counted", type: "", text: "admin.column.who" },
    { names: "could_look", type: "text", text: "admin.column.could_look" },
    { names: "task_id, prompt_id, external_id, round, split", type: "", text: "admin.column.where" },
    { names: "active_ms, rationale", type: "int, text", text: "admin.column.time" },
    { names: "documents_json, ratings_json, tags_json", type: "JSON text", text: "admin.column.json" },
  ],
};
