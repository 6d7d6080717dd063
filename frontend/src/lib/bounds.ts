/** How far numbers go that several forms ask for: those of formats/sampling.py, with which a test compares them. */
export const BOUNDS = {
  temperature: { min: 0, max: 2, step: 0.01 },
  top_p: { min: 0.01, max: 1, step: 0.01 },
  max_tokens: { min: 1, max: 32_768, step: 1 },
  prompts: { min: 1, max: 2000, step: 1 },
} as const;
