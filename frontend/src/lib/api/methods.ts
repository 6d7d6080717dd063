/** This file was made by `make types`: the methods of the engine. Do not edit it. */
export const METHODS = {
  sft: { section: null, learns_from_judge: false, has_reference: false, writes: true, keeps_rollouts: false },
  reward: { section: "reward", learns_from_judge: false, has_reference: false, writes: false, keeps_rollouts: false },
  dpo: { section: "dpo", learns_from_judge: false, has_reference: true, writes: true, keeps_rollouts: false },
  kto: { section: "kto", learns_from_judge: false, has_reference: true, writes: true, keeps_rollouts: false },
  rloo: { section: "online", learns_from_judge: true, has_reference: true, writes: true, keeps_rollouts: false },
  grpo: { section: "online", learns_from_judge: true, has_reference: true, writes: true, keeps_rollouts: false },
  ppo: { section: "ppo", learns_from_judge: true, has_reference: true, writes: true, keeps_rollouts: true },
} as const;
