/** A linear scale: where a value lies between the ends of an axis, and where its ticks are. */
export interface Scale {
  low: number;
  high: number;
  ticks: readonly number[];
  /** 0 at the low end, 100 at the high one; values beyond are held at the ends. */
  at: (value: number) => number;
}

const STEPS = [1, 2, 2.5, 5, 10];

/** The smallest of 1, 2, 2.5, 5 times a power of ten that needs at most `count` steps. */
export function niceStep(span: number, count: number): number {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return (STEPS.find((step) => step * power >= rough * (1 - 1e-9)) ?? 10) * power;
}

/** A scale that holds all values, with some room at both ends unless they are given. */
export function scaleOf(values: readonly number[], limits?: readonly [number, number], count = 4): Scale {
  const finite = values.filter(Number.isFinite);
  let low = limits?.[0] ?? Math.min(...finite);
  let high = limits?.[1] ?? Math.max(...finite);
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const room = limits ? 0 : (high - low) * 0.05;
  [low, high] = [low - room, high + room];
  const step = niceStep(high - low, count);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  const at = (value: number) => Math.min(100, Math.max(0, ((value - low) / (high - low)) * 100));
  return { low, high, ticks, at };
}
