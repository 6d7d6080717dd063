import { language, t } from "./catalogue.svelte";

/** Numbers, dates and durations as the reader's language writes them. */
export const number = (value: number, digits = 0): string =>
  value.toLocaleString(language(), { maximumFractionDigits: digits });

export const percent = (fraction: number, digits = 0): string =>
  fraction.toLocaleString(language(), { style: "percent", maximumFractionDigits: digits });

/** A length of time from seconds: "42 s", "7 min", "3.4 h", "2 days". */
export function duration(seconds: number): string {
  if (seconds < 90) return t("duration.seconds", { n: Math.round(seconds) });
  if (seconds < 90 * 60) return t("duration.minutes", { n: Math.round(seconds / 60) });
  if (seconds < 36 * 3600) return t("duration.hours", { n: Math.round(seconds / 360) / 10 });
  return t("duration.days", { n: Math.round(seconds / 86_400) });
}

/** "14:05" for today, "3 Mar, 14:05" this year, "3 Mar 2024, 14:05" before. */
export function localTime(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const today = at.toDateString() === now.toDateString();
  return at.toLocaleString(language(), {
    hour: "2-digit",
    minute: "2-digit",
    ...(today ? {} : { day: "numeric", month: "short" }),
    ...(at.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }),
  });
}

export const utcTime = (iso: string): string =>
  t("time.utc", { time: new Date(iso).toISOString().slice(0, 19).replace("T", " ") });

/** "3 minutes ago", "in 2 hours": for feeds where the exact time is in the title. */
export function relativeTime(iso: string, now = Date.now()): string {
  const seconds = (new Date(iso).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  const size = Math.abs(seconds);
  if (size < 60) return format.format(Math.round(seconds), "second");
  if (size < 3600) return format.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return format.format(Math.round(seconds / 3600), "hour");
  return format.format(Math.round(seconds / 86_400), "day");
}

/** "A, B and C". */
export const list = (items: readonly string[]): string =>
  new Intl.ListFormat(language(), { type: "conjunction" }).format(items);
