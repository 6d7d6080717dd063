import { get, getText, post } from "./client";
import { projectPath } from "./projects";
import type { components } from "./schema";
import type { Page } from "./types";

type Schemas = components["schemas"];
export type SnapshotRow = Schemas["SnapshotRow"];
export type SnapshotDetail = Schemas["SnapshotDetail"];
export type SnapshotSpec = Required<Schemas["SnapshotSpecShapeRequest"]>;
export type SnapshotRows = Schemas["SnapshotRows"];
export type SnapshotAction = "cancel" | "retry";
export type Aggregation = SnapshotSpec["aggregation"];
export type Weight = SnapshotSpec["weight"];

const snapshots = (slug: string) => `${projectPath(slug)}/snapshots`;
const one = (slug: string, number: string | number) => `${snapshots(slug)}/${encodeURIComponent(number)}`;

export const listSnapshots = (slug: string, cursor: string | null = null) =>
  get<Page<SnapshotRow>>(snapshots(slug), { cursor });

export const getSnapshot = (slug: string, number: string | number) => get<SnapshotDetail>(one(slug, number));

export const createSnapshot = (slug: string, spec: SnapshotSpec) => post<SnapshotDetail>(snapshots(slug), spec);

export const actOnSnapshot = (slug: string, number: string | number, action: SnapshotAction) =>
  post<SnapshotDetail>(`${one(slug, number)}/${action}`);

export const readSnapshotCard = (slug: string, number: string | number) => getText(`${one(slug, number)}/card`);

/** The first rows of one of its files, as they are in it. */
export const firstRows = (slug: string, number: string | number, side: string, kind: string) =>
  get<SnapshotRows>(`${one(slug, number)}/rows`, { side, kind, limit: 10 });

/** The whole as one zip file. */
export const snapshotArchive = (slug: string, number: string | number) => `${one(slug, number)}/download.zip`;

export const snapshotFile = (slug: string, number: string | number, name: string) =>
  `${one(slug, number)}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
