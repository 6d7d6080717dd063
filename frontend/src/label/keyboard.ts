import { commandFor, type Command } from "./keys";

interface Listening {
  labels: () => readonly string[];
  strength: boolean;
  run: (command: Command) => void;
}

/** Sends key presses to the workbench, unless somebody types or a dialog is open. */
export function listenToKeys({ labels, strength, run }: Listening): () => void {
  function pressed(event: KeyboardEvent) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open], [popover]:popover-open")) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (target && isTyping(target)) return typing(event, target, run);
    const command = commandFor(event, labels(), strength);
    if (!command || (event.repeat && command.do === "submit")) return;
    // Enter works what has the focus; on a rating or a tag it does nothing of its own, so it submits.
    if (command.do === "submit" && target?.closest("button, a, summary")) return;
    if (isArrow(command) && target?.matches("input")) return;
    if (command.do !== "nudge" || canNudge()) event.preventDefault();
    run(command);
  }
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

/** Up and down scroll the page as long as no ranked response is chosen. */
const canNudge = (): boolean => document.querySelector("[data-focused='true']:not([data-place=''])") !== null;

const isArrow = (command: Command): boolean => command.do === "focus" || command.do === "nudge";

function isTyping(target: HTMLElement): boolean {
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "button"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

function typing(event: KeyboardEvent, target: HTMLElement, run: (command: Command) => void): void {
  if (event.key === "Escape") target.blur();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run({ do: "submit" });
  }
}
