import projects from "./admin/projects";
import prompts from "./admin/prompts";
import results from "./admin/results";
import rounds from "./admin/rounds";

export default { ...projects, ...prompts, ...rounds, ...results };
