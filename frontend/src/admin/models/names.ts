import { METHODS } from "$lib/api/methods";
import { t } from "$lib/catalogue.svelte";

/** "Adapter 3", or the base under all of them. */
export const modelName = (adapter: number | null): string =>
  adapter === null ? t("admin.models.base") : t("admin.models.adapter", { n: String(adapter) });

export const methodName = (method: string): string => (method in METHODS ? t(`admin.method.${method as keyof typeof METHODS}`) : method);

/** A reward model scores answers and writes none: it judges, and cannot be promoted. */
export const judges = ({ method }: { method: string }): boolean => method in METHODS && !METHODS[method as keyof typeof METHODS].writes;

/** Whether the inference servers can let it answer: it can then be evaluated and promoted. */
export const answers = (adapter: { method: string; standing: { state: string } }): boolean =>
  !judges(adapter) && adapter.standing.state !== "too_large";
