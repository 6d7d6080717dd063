import { t } from "$lib/catalogue.svelte";

/** "Adapter 3", or the base under all of them. */
export const modelName = (adapter: number | null): string =>
  adapter === null ? t("admin.models.base") : t("admin.models.adapter", { n: String(adapter) });

const METHODS = ["sft", "reward", "dpo", "kto", "rloo", "grpo", "ppo"] as const;
type Method = (typeof METHODS)[number];

export const methodName = (method: string): string =>
  METHODS.includes(method as Method) ? t(`admin.method.${method as Method}`) : method;

/** A reward model scores answers and writes none: it judges, and cannot be promoted. */
export const judges = ({ method }: { method: string }): boolean => method === "reward";

/** Whether the inference servers can let it answer: it can then be evaluated and promoted. */
export const answers = (adapter: { method: string; standing: { state: string } }): boolean =>
  !judges(adapter) && adapter.standing.state !== "too_large";
