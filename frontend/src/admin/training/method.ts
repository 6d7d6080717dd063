/** Learns from what a reward model says of its own answers. */
export const learnsFromJudge = (method: string): boolean => ["rloo", "grpo", "ppo"].includes(method);

/** Is held to a reference, which can be another adapter. */
export const hasReference = (method: string): boolean => method !== "sft" && method !== "reward";

/** Leaves every answer that it learned from behind, to be looked at. */
export const hasRollouts = (method: string): boolean => method === "ppo";
