import datasets from "./admin/datasets";
import loop from "./admin/loop";
import models from "./admin/models";
import projects from "./admin/projects";
import prompts from "./admin/prompts";
import results from "./admin/results";
import rounds from "./admin/rounds";
import training from "./admin/training";

export default { ...projects, ...prompts, ...rounds, ...results, ...datasets, ...training, ...models, ...loop };
