import admin from "./admin";
import label from "./label";
import shell from "./shell";

/** The English catalogue. Keys start with the place that uses them. */
export default { ...shell, ...label, ...admin };
