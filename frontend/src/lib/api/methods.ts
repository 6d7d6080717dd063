/** This file was made by `make types`: the methods of the engine. Do not edit it. */
export const METHODS = {
  sft: { section: null, judged: false, has_reference: false, writes: true, keeps_rollouts: false },
  reward: { section: "reward", judged: false, has_reference: false, writes: false, keeps_rollouts: false },
  dpo: { section: "dpo", judged: false, has_reference: true, writes: true, keeps_rollouts: false },
  kto: { section: "kto", judged: false, has_reference: true, writes: true, keeps_rollouts: false },
  rloo: { section: "online", judged: true, has_reference: true, writes: true, keeps_rollouts: false },
  grpo: { section: "online", judged: true, has_reference: true, writes: true, keeps_rollouts: false },
  ppo: { section: "ppo", judged: true, has_reference: true, writes: true, keeps_rollouts: true },
} as const;
