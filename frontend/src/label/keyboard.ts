import { focusOrigin } from "$lib/focus-origin";
import { commandFor, type Command } from "./keys";

interface Listening {
  labels: () => readonly string[];
  strength: () => boolean;
  run: (command: Command) => void;
}

/** Sends key presses to the workbench, unless somebody types or a dialog is open. */
export function listenToKeys({ labels, strength, run }: Listening): () => void {
  function pressed(event: KeyboardEvent) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open], [popover]:popover-open")) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (target && isTyping(target)) return typing(event, target, run);
    const command = commandFor(event, labels(), strength());
    if (!command || (event.repeat && command.do === "submit")) return;
    if (command.do === "submit" && worksItself(target)) return;
    if (isArrow(command) && target?.matches("input")) return;
    if (command.do !== "nudge" || canNudge()) event.preventDefault();
    run(command);
  }
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

/** Enter works what somebody moved to with Tab. On a rating or a tag it does nothing of its own, so it submits. */
function worksItself(target: HTMLElement | null): boolean {
  const control = target?.closest("button, a, summary");
  return control !== null && control !== undefined && focusOrigin.byKeyboard(control);
}

/** Up and down scroll the page as long as no ranked response is chosen. */
const canNudge = (): boolean => document.querySelector("[data-focused='true']:not([data-place=''])") !== null;

const isArrow = (command: Command): boolean => command.do === "focus" || command.do === "nudge";

function isTyping(target: HTMLElement): boolean {
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "button"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

function typing(event: KeyboardEvent, target: HTMLElement, run: (command: Command) => void): void {
  // Safari ends a composition before it tells of the Enter that ended it; the old code 229 gives it away.
  if (event.keyCode === 229) return;
  const enter = event.key === "Enter";
  if (enter && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run({ do: "submit" });
  } else if (event.key === "Escape" || (enter && target instanceof HTMLInputElement)) {
    event.preventDefault();
    target.blur();
  }
}
