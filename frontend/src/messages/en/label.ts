export default {
  "label.home.title": "Your queues",
};
