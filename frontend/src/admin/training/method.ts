import { METHODS } from "$lib/api/methods";

const factsOf = (method: string) => (method in METHODS ? METHODS[method as keyof typeof METHODS] : null);

/** Learns from what a reward model says of its own answers. */
export const learnsFromJudge = (method: string): boolean => factsOf(method)?.learns_from_judge ?? false;

/** Is held to a reference, which can be another adapter. */
export const hasReference = (method: string): boolean => factsOf(method)?.has_reference ?? false;

/** Leaves every answer that it learned from behind, to be looked at. */
export const hasRollouts = (method: string): boolean => factsOf(method)?.keeps_rollouts ?? false;
