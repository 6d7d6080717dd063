import type { Estimate, EvaluationRow, Forgetting, Report } from "$lib/api/model-types";
import { t, type MessageKey } from "$lib/catalogue.svelte";
import type { IntervalRow } from "$lib/charts/Intervals.svelte";
import { percent } from "$lib/format";
import { modelName } from "./names";

/** Rows of the pictures of a report; what was not measured has a row too, which says why. */
type Tone = IntervalRow["tone"];

function row(key: string, label: string, found: Estimate | null | undefined, missing: string | undefined, tone: Tone = "accent", note?: string): IntervalRow {
  return { key, label, value: found?.value ?? null, low: found?.low, high: found?.high, missing: missing ?? t("admin.report.notMeasured"), tone, note };
}

/** Whether an interval lies wholly above or below a value; "accent" when it does not say. */
export function side({ low, high }: Pick<Estimate, "low" | "high">, at: number): "above" | "below" | "open" {
  if (low !== null && low > at) return "above";
  return high !== null && high < at ? "below" : "open";
}

export function winRow(report: Report, { candidate, incumbent }: Pick<EvaluationRow, "candidate" | "incumbent">) {
  const rate = report.win_rate;
  const tones = { above: "good", below: "bad", open: "accent" } as const;
  const verdict = rate ? side(rate, 0.5) : "open";
  return {
    row: row("win", modelName(candidate), rate, report.missing.win_rate, tones[verdict], t("admin.evaluation.against", { model: modelName(incumbent) })),
    sentence: rate
      ? t(`admin.report.${verdict}`, { candidate: modelName(candidate), incumbent: modelName(incumbent), share: percent(rate.value), n: rate.prompts })
      : "",
  };
}

/** Shares of preferences that were told right: of the candidate, of its judge, of other people. */
export function shareRows(report: Report): IntervalRow[] {
  const { measured, judge, missing } = report;
  const people = measured?.agreement;
  const strengths: Record<number, MessageKey> = { 0: "admin.strength.0", 1: "admin.strength.1", 2: "admin.strength.2", 3: "admin.strength.3" };
  const told = (measured?.accuracy_by_strength ?? []).filter((each) => each.strength > 0);
  return [
    row("accuracy", t("admin.report.candidateAccuracy"), report.accuracy, missing.accuracy),
    ...told.map(({ strength, accuracy }) =>
      row(`strength-${strength}`, t("admin.report.ofStrength", { strength: strengths[strength] ? t(strengths[strength]) : String(strength) }), accuracy, undefined, "plain"),
    ),
    ...(judge ? [row("judge", t("admin.report.judgeAccuracy", { model: modelName(judge.adapter) }), judge.accuracy, undefined, "warn")] : []),
    row("others", t("admin.report.others"), people?.others_majority_accuracy, people?.others_reason ?? missing.agreement, "good"),
    row("people", t("admin.report.people"), people?.pairwise ?? people?.ceiling, people?.reason ?? missing.agreement, "good"),
  ];
}

/** How far the model moved from its reference, and what it unlearned: nats a token. */
export function driftRows(report: Report): IntervalRow[] {
  const { measured, missing } = report;
  const forgot = (found: Forgetting | null | undefined): Tone => {
    if (!found) return "plain";
    return { above: "bad", below: "good", open: "accent" }[side(found.difference, 0)] as Tone;
  };
  const reasons = measured?.missing ?? {};
  return [
    row("kl", t("admin.report.kl"), report.kl, missing.kl),
    row("general", t("admin.report.general"), measured?.general_text?.difference, reasons.general_text ?? missing.forgetting, forgot(measured?.general_text)),
    row("demonstrations", t("admin.report.demonstrations"), measured?.demonstrations?.difference, reasons.demonstrations ?? missing.forgetting, forgot(measured?.demonstrations)),
  ];
}
