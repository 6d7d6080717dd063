/**
 * How responses of one task are ranked: a pure reducer, best tier first.
 *
 * A tier holds responses that are equally good. Unacceptable responses stand in tiers of their
 * own, below every acceptable one: `tiers` is always acceptable tiers, then unacceptable ones.
 */
export type Label = string;
export type Tiers = readonly (readonly Label[])[];

export interface Ranking {
  /** All responses in the order shown. */
  readonly labels: readonly Label[];
  readonly tiesAllowed: boolean;
  /** Placed responses only; a label stands in one tier at most. */
  readonly tiers: Tiers;
  /** Reasons of the unacceptable responses (may be empty strings). */
  readonly unacceptable: Readonly<Record<Label, string>>;
  /** Labels the person placed, in that order: Backspace walks it backwards. */
  readonly placed: readonly Label[];
  /** The last response, put at the end because nothing else was left. */
  readonly automatic: Label | null;
  /** `=` was pressed: the next response joins the tier of the last. */
  readonly tieNext: boolean;
  /** The response that `x` and the arrows act on. */
  readonly focused: Label | null;
}

export type Place =
  | { kind: "tier"; index: number }
  | { kind: "gap"; index: number }
  | { kind: "unacceptable" }
  | { kind: "unranked" };

export type Action =
  | { type: "place"; label: Label }
  | { type: "tie" }
  | { type: "takeBack" }
  | { type: "toggleUnacceptable"; label?: Label }
  | { type: "setReason"; label: Label; reason: string }
  | { type: "focus"; label: Label | null }
  | { type: "focusNext"; step: 1 | -1 }
  | { type: "nudge"; step: 1 | -1; label?: Label }
  | { type: "move"; label: Label; to: Place }
  | { type: "clear" };

export function startRanking(labels: readonly Label[], tiesAllowed: boolean): Ranking {
  return { labels, tiesAllowed, tiers: [], unacceptable: {}, placed: [], automatic: null, tieNext: false, focused: null };
}

export function reduce(state: Ranking, action: Action): Ranking {
  switch (action.type) {
    case "place":
      return place(state, action.label);
    case "tie":
      return tie(state);
    case "takeBack":
      return takeBack(state);
    case "toggleUnacceptable":
      return toggleUnacceptable(state, action.label ?? state.focused ?? state.placed.at(-1));
    case "setReason":
      return isUnacceptable(state, action.label)
        ? { ...state, unacceptable: { ...state.unacceptable, [action.label]: action.reason } }
        : state;
    case "focus":
      return { ...state, focused: action.label };
    case "focusNext":
      return focusNext(state, action.step);
    case "nudge":
      return nudge(state, action.label ?? state.focused, action.step);
    case "move":
      return move(state, action.label, action.to);
    case "clear":
      return startRanking(state.labels, state.tiesAllowed);
  }
}

export const isUnacceptable = (state: Ranking, label: Label): boolean => label in state.unacceptable;

export function tierOf(state: Ranking, label: Label): number | null {
  const index = state.tiers.findIndex((tier) => tier.includes(label));
  return index < 0 ? null : index;
}

export function unranked(state: Ranking): Label[] {
  return state.labels.filter((label) => tierOf(state, label) === null);
}

/** How many of the tiers are acceptable ones: unacceptable tiers start at this index. */
export function acceptableTiers(state: Ranking): number {
  return state.tiers.filter((tier) => !tier.some((label) => isUnacceptable(state, label))).length;
}

export const isComplete = (state: Ranking): boolean => unranked(state).length === 0;

/** A boundary between neighbouring tiers, named by its content so that it survives reordering elsewhere. */
export const boundary = (upper: readonly Label[], lower: readonly Label[]): string =>
  `${[...upper].sort().join("")}>${[...lower].sort().join("")}`;

function place(state: Ranking, label: Label): Ranking {
  if (!state.labels.includes(label)) return state;
  if (label === state.automatic)
    return { ...state, automatic: null, placed: [...state.placed, label], focused: label };
  if (tierOf(state, label) !== null) return { ...state, focused: label, tieNext: false };
  const partner = state.tieNext ? tierOfLastAcceptable(state) : null;
  const tiers =
    partner === null
      ? inserted(state.tiers, acceptableTiers(state), [label])
      : state.tiers.map((tier, i) => (i === partner ? [...tier, label] : tier));
  return withLastPlaced({ ...state, tiers, placed: [...state.placed, label], tieNext: false, focused: label });
}

/** Puts the one response that is left at the end of the acceptable ones. */
function withLastPlaced(state: Ranking): Ranking {
  const [last, ...others] = unranked(state);
  if (last === undefined || others.length) return state;
  return { ...state, tiers: inserted(state.tiers, acceptableTiers(state), [last]), automatic: last };
}

function tie(state: Ranking): Ranking {
  if (!state.tiesAllowed) return state;
  if (state.automatic !== null) return tieAutomatic(state, state.automatic);
  if (isComplete(state) || tierOfLastAcceptable(state) === null) return state;
  return { ...state, tieNext: !state.tieNext };
}

/** "B =" with one response left can only mean that one: it joins the tier of the last. */
function tieAutomatic(state: Ranking, automatic: Label): Ranking {
  const without = removed(state, automatic);
  const partner = tierOfLastAcceptable(without);
  if (partner === null) return state;
  const tiers = without.tiers.map((tier, i) => (i === partner ? [...tier, automatic] : tier));
  return { ...without, tiers, automatic: null, placed: [...state.placed, automatic], focused: automatic };
}

/** The tier that `=` ties to: that of the response placed last, if it is an acceptable one. */
function tierOfLastAcceptable(state: Ranking): number | null {
  const last = state.placed.findLast((label) => !isUnacceptable(state, label));
  return last === undefined ? null : tierOf(state, last);
}

function takeBack(state: Ranking): Ranking {
  if (state.tieNext) return { ...state, tieNext: false };
  const last = state.placed.at(-1);
  const base = state.automatic === null ? state : removed(state, state.automatic);
  if (last === undefined) return base;
  const next = removed(base, last);
  return { ...next, focused: next.placed.at(-1) ?? null };
}

/** Without any trace of the label: unranked, acceptable. */
function removed(state: Ranking, label: Label): Ranking {
  const { [label]: _reason, ...unacceptable } = state.unacceptable;
  return {
    ...state,
    unacceptable,
    tiers: withoutLabel(state.tiers, label),
    placed: state.placed.filter((other) => other !== label),
    automatic: state.automatic === label ? null : state.automatic,
  };
}

/**
 * Marking keeps the order of responses that were ranked; one that was not ranked yet joins the
 * unacceptable ones as their equal (or, without ties, as the last). Taking the mark off makes it
 * the last of the acceptable ones.
 */
function toggleUnacceptable(state: Ranking, label: Label | undefined): Ranking {
  if (label === undefined || !state.labels.includes(label)) return state;
  if (isUnacceptable(state, label)) {
    const base = removed(state, label);
    const tiers = inserted(base.tiers, acceptableTiers(base), [label]);
    return { ...base, tiers, placed: [...base.placed, label], focused: label };
  }
  return markUnacceptable(state, label);
}

function markUnacceptable(state: Ranking, label: Label): Ranking {
  const wasRanked = tierOf(state, label) !== null && state.automatic !== label;
  const base = removed(state, label);
  const first = acceptableTiers(base);
  const joins = !wasRanked && state.tiesAllowed && first < base.tiers.length;
  const tiers = joins
    ? base.tiers.map((tier, i) => (i === first ? [...tier, label] : tier))
    : inserted(base.tiers, wasRanked ? first : base.tiers.length, [label]);
  return withLastPlaced({
    ...base,
    tiers,
    unacceptable: { ...base.unacceptable, [label]: "" },
    placed: [...base.placed, label],
    tieNext: false,
    focused: label,
  });
}

function focusNext(state: Ranking, step: 1 | -1): Ranking {
  const count = state.labels.length;
  const at = state.focused === null ? (step === 1 ? -1 : count) : state.labels.indexOf(state.focused);
  return { ...state, focused: state.labels[(at + step + count) % count] ?? null };
}

/**
 * One step up (-1) or down (1): out of a tie first, then into the neighbour tier as a tie (or
 * past it, where ties are not allowed). Never across the border of the unacceptable ones.
 */
function nudge(state: Ranking, label: Label | null, step: 1 | -1): Ranking {
  const from = label === null ? null : tierOf(state, label);
  if (label === null || from === null) return state;
  const tier = state.tiers[from] as readonly Label[];
  const to = from + step;
  if (tier.length > 1) return moved(state, label, { kind: "gap", index: step === 1 ? from + 1 : from });
  const neighbour = state.tiers[to];
  if (!neighbour || isUnacceptable(state, neighbour[0] as Label) !== isUnacceptable(state, label)) return state;
  if (state.tiesAllowed) return moved(state, label, { kind: "tier", index: to });
  return moved(state, label, { kind: "gap", index: step === 1 ? to + 1 : to });
}

/** Drag and drop. A place among the unacceptable tiers marks, one among the acceptable ones unmarks. */
function move(state: Ranking, label: Label, to: Place): Ranking {
  if (!state.labels.includes(label)) return state;
  if (to.kind === "unranked") {
    const base = state.automatic === null ? state : removed(state, state.automatic);
    return { ...removed(base, label), tieNext: false, focused: label };
  }
  if (to.kind === "unacceptable") return isUnacceptable(state, label) ? state : markUnacceptable(state, label);
  const next = moved(state, label, to);
  return next === state ? state : withLastPlaced({ ...next, tieNext: false });
}

function moved(state: Ranking, label: Label, to: { kind: "tier" | "gap"; index: number }): Ranking {
  const target = state.tiers[to.index];
  if (to.kind === "tier" && (!target || target.includes(label))) return state;
  if (to.kind === "tier" && !state.tiesAllowed) return moved(state, label, { kind: "gap", index: to.index });
  const bad = landsAmongUnacceptable(state, label, to);
  const { [label]: reason, ...others } = state.unacceptable;
  const tiers =
    to.kind === "tier"
      ? state.tiers.map((tier, i) => (i === to.index ? [...tier, label] : tier.filter((other) => other !== label)))
      : inserted(
          state.tiers.map((tier) => tier.filter((other) => other !== label)),
          Math.min(Math.max(to.index, 0), state.tiers.length),
          [label],
        );
  return {
    ...state,
    tiers: tiers.filter((tier) => tier.length),
    unacceptable: bad ? { ...others, [label]: reason ?? "" } : others,
    placed: state.placed.includes(label) ? state.placed : [...state.placed, label],
    automatic: state.automatic === label ? null : state.automatic,
    focused: label,
  };
}

/** A gap right at the border keeps the mark the response has. */
function landsAmongUnacceptable(state: Ranking, label: Label, to: { kind: "tier" | "gap"; index: number }): boolean {
  const border = acceptableTiers(state);
  if (to.kind === "gap" && to.index === border) return isUnacceptable(state, label);
  return to.kind === "gap" ? to.index > border : to.index >= border;
}

const inserted = (tiers: Tiers, index: number, tier: readonly Label[]): Tiers => [
  ...tiers.slice(0, index),
  tier,
  ...tiers.slice(index),
];

const withoutLabel = (tiers: Tiers, label: Label): Tiers =>
  tiers.map((tier) => tier.filter((other) => other !== label)).filter((tier) => tier.length > 0);
