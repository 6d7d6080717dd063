import datasets from "./admin/datasets";
import projects from "./admin/projects";
import prompts from "./admin/prompts";
import results from "./admin/results";
import rounds from "./admin/rounds";
import training from "./admin/training";

export default { ...projects, ...prompts, ...rounds, ...results, ...datasets, ...training };
