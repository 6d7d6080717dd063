/** Addresses of the pages that training and the loop link to. */
type Number = string | number;

const project = (slug: string) => `/projects/${slug}`;

export const place = {
  models: (slug: string) => `${project(slug)}/models`,
  lineage: (slug: string) => `${project(slug)}/models/lineage`,
  adapter: (slug: string, n: Number) => `${project(slug)}/models/adapters/${n}`,
  evaluation: (slug: string, n: Number) => `${project(slug)}/models/evaluations/${n}`,
  run: (slug: string, n: Number) => `${project(slug)}/training/${n}`,
  newRun: (slug: string) => `${project(slug)}/training/new`,
  snapshot: (slug: string, n: Number) => `${project(slug)}/datasets/${n}`,
  round: (slug: string, n: Number) => `${project(slug)}/rounds/${n}`,
  rankings: (slug: string, labeler: string) => `${project(slug)}/rankings?labeler=${encodeURIComponent(labeler)}`,
  loop: (slug: string) => `${project(slug)}/loop`,
  policy: (slug: string) => `${project(slug)}/loop/policy`,
  step: (slug: string, n: Number) => `${project(slug)}/loop/steps/${n}`,
};
