/**
 * What people entered and nobody has saved yet: asked about once, in our own dialog, before a
 * link, the browser's Back or Forward, or signing out would drop it; before the tab is closed the
 * browser asks.
 */
const forms = new Set<() => boolean>();
let answering = $state.raw<((leave: boolean) => void) | null>(null);

export const unsaved = {
  /** Whether the question is on the screen. */
  get asking(): boolean {
    return answering !== null;
  },
  /** Whether leaving the page would lose something. */
  any: (): boolean => [...forms].some((isUnsaved) => isUnsaved()),
  /** True when the page may be left: nothing would be lost, or the person says so. */
  mayLeave(): Promise<boolean> {
    // Asked again while the question is open (Back twice): the later wish is the one that counts.
    unsaved.answer(false);
    if (!unsaved.any()) return Promise.resolve(true);
    return new Promise((resolve) => (answering = resolve));
  },
  answer(leave: boolean): void {
    const answered = answering;
    answering = null;
    answered?.(leave);
  },
};

/** Called by a form while it is made: `isUnsaved` says whether it holds what is nowhere else. */
export function guardUnsaved(isUnsaved: () => boolean): void {
  $effect(() => {
    forms.add(isUnsaved);
    return () => forms.delete(isUnsaved);
  });
}
