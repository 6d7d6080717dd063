/** Learns from what a reward model says of its own answers. */
export const learnsFromJudge = (method: string): boolean => ["rloo", "grpo", "ppo"].includes(method);

/** Is held to a reference, which can be another adapter. */
export const hasReference = (method: string): boolean => method !== "sft" && method !== "reward";
