export default {
  "admin.projects.title": "Projects",
};
