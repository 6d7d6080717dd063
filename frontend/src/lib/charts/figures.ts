import { language } from "../catalogue.svelte";

/** A number of unknown size with the digits that matter: "0.6931", "12,400", "5E-5". */
export function figure(value: number, digits = 4): string {
  const size = Math.abs(value);
  const far = size !== 0 && (size < 0.001 || size >= 1e7);
  return value.toLocaleString(language(), {
    maximumSignificantDigits: far ? Math.min(digits, 3) : Math.max(digits, Math.ceil(Math.log10(size + 1))),
    ...(far ? { notation: "scientific" } : {}),
  });
}
