import admin from "./admin";
import charts from "./charts";
import label from "./label";
import shell from "./shell";

/** The English catalogue. Keys start with the place that uses them. */
export default { ...shell, ...charts, ...label, ...admin };
