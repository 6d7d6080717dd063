/**
 * This file was made by `make types`: how far numbers and texts go that the API is sent, as
 * attributes of inputs. Do not edit it.
 */
export const BOUNDS = {
  Axis: {
    key: { maxlength: 40 },
    name: { maxlength: 60 },
    min: { min: -100, max: 100 },
    max: { min: -100, max: 100 },
  },
  Demonstration: {
    text: { maxlength: 50000 },
    from: { maxlength: 1 },
  },
  DraftBody: {
    base: { min: 0 },
    writer: { maxlength: 36 },
    step: { min: 0 },
  },
  DraftOf: {
    base: { min: 0 },
    writer: { maxlength: 36 },
  },
  EvaluationSettingsShape: {
    prompts: { min: 1, max: 2000 },
    temperature: { min: 0, max: 2 },
    top_p: { min: 0.01, max: 1 },
    max_tokens: { min: 1, max: 32768 },
  },
  Flag: {
    note: { maxlength: 5000 },
  },
  Have: {
    have: { most: 50 },
  },
  LoopPolicyBody: {
    base: { maxlength: 16 },
  },
  NewEvaluation: {
    candidate: { min: 1 },
    incumbent: { min: 1 },
    judge: { min: 1 },
  },
  NewMember: {
    username: { maxlength: 150 },
  },
  NewProject: {
    name: { maxlength: 120 },
    description: { maxlength: 5000 },
    guidelines: { maxlength: 100000 },
    k_default: { min: 2, max: 9 },
    tags: { most: 50 },
    overlap: { min: 1, max: 25 },
    lease_seconds: { min: 30, max: 86400 },
    slug: { maxlength: 60 },
  },
  PatchedChangedSettings: {
    name: { maxlength: 120 },
    description: { maxlength: 5000 },
    guidelines: { maxlength: 100000 },
    k_default: { min: 2, max: 9 },
    tags: { most: 50 },
    overlap: { min: 1, max: 25 },
    lease_seconds: { min: 30, max: 86400 },
    base: { maxlength: 16 },
  },
  PromotionSpec: {
    reason: { maxlength: 2000 },
    adapter: { min: 1 },
    evaluation: { min: 1 },
  },
  PromptChoice: {
    tag: { maxlength: 80 },
    search: { maxlength: 200 },
    sample: { min: 1 },
  },
  RebuildRequest: {
    adapter: { min: 1 },
    exclude_labelers: { most: 1000 },
    exclude_rounds: { most: 1000 },
  },
  RetractionRequest: {
    labeler: { maxlength: 150 },
    round: { min: 1 },
    reason: { maxlength: 1000 },
  },
  RollBackSpec: {
    reason: { maxlength: 2000 },
  },
  RoundSpec: {
    k: { min: 2, max: 9 },
    overlap: { min: 1, max: 25 },
    sources: { most: 9 },
  },
  RunRequest: {
    snapshot: { min: 1, max: 2147483647 },
    method: { maxlength: 10 },
    preset: { maxlength: 40 },
    parent: { min: 1, max: 2147483647 },
    judge: { min: 1, max: 2147483647 },
  },
  SignIn: {
    username: { maxlength: 150 },
    password: { maxlength: 512 },
  },
  Skip: {
    reason: { maxlength: 40 },
    note: { maxlength: 5000 },
  },
  SnapshotSpecShape: {
    rounds: { most: 1000 },
    labelers: { most: 1000 },
    minimum_overlap: { min: 1, max: 25 },
    excluded_rounds: { most: 1000 },
    excluded_labelers: { most: 1000 },
  },
  SourceSpec: {
    weight: { min: 1, max: 100 },
    temperature: { min: 0, max: 2 },
    top_p: { min: 0.01, max: 1 },
    max_tokens: { min: 1, max: 32768 },
  },
  Submit: {
    tiers: { most: 9 },
    strengths: { most: 8 },
    tags: { most: 50 },
    rationale: { maxlength: 50000 },
    active_ms: { min: 0 },
  },
  UnacceptableMark: {
    label: { maxlength: 1 },
    reason: { maxlength: 2000 },
  },
} as const;
