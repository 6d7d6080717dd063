import type { Attachment } from "svelte/attachments";
import type { Label, Place } from "./ranking";

/**
 * Dragging by pointer, so that mouse, pen and finger work alike. A target names its place in
 * `data-drop` ("tier:0", "gap:2", "unacceptable", "unranked").
 */
const THRESHOLD_PX = 5;

export const drag = $state<{ label: Label | null; over: string | null }>({ label: null, over: null });

export interface DragOptions {
  label: Label;
  onDrop: (label: Label, to: Place) => void;
}

export function draggable({ label, onDrop }: DragOptions): Attachment<HTMLElement> {
  return (node) => {
    let ghost: HTMLElement | null = null;
    let start = { x: 0, y: 0 };

    function down(event: PointerEvent) {
      if (event.button !== 0) return;
      start = { x: event.clientX, y: event.clientY };
      addEventListener("pointermove", move);
      addEventListener("pointerup", up);
      addEventListener("pointercancel", cancel);
      addEventListener("keydown", escape, true);
    }
    function move(event: PointerEvent) {
      if (!ghost) {
        if (Math.hypot(event.clientX - start.x, event.clientY - start.y) < THRESHOLD_PX) return;
        ghost = lift(node);
        drag.label = label;
      }
      event.preventDefault();
      ghost.style.transform = `translate(${event.clientX}px, ${event.clientY}px)`;
      drag.over = targetAt(event.clientX, event.clientY);
    }
    function up() {
      const to = drag.over;
      const dragged = ghost !== null;
      end();
      if (!dragged) return;
      // The click that follows a drag is not a click on the chip.
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
      const place = to === null ? null : placeOf(to);
      if (place) onDrop(label, place);
    }
    function escape(event: KeyboardEvent) {
      if (event.key !== "Escape" || !ghost) return;
      event.stopPropagation();
      cancel();
    }
    function cancel() {
      drag.over = null;
      end();
    }
    function end() {
      ghost?.remove();
      ghost = null;
      drag.label = drag.over = null;
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", cancel);
      removeEventListener("keydown", escape, true);
    }

    node.addEventListener("pointerdown", down);
    return () => {
      node.removeEventListener("pointerdown", down);
      end();
    };
  };
}

function lift(node: HTMLElement): HTMLElement {
  const ghost = document.createElement("div");
  ghost.className = "drag-ghost";
  ghost.textContent = node.dataset.letter ?? node.textContent;
  ghost.setAttribute("aria-hidden", "true");
  document.body.append(ghost);
  return ghost;
}

function targetAt(x: number, y: number): string | null {
  return document.elementFromPoint(x, y)?.closest<HTMLElement>("[data-drop]")?.dataset.drop ?? null;
}

function placeOf(drop: string): Place | null {
  const [kind, index] = drop.split(":");
  if (kind === "tier" || kind === "gap") return { kind, index: Number(index) };
  return kind === "unacceptable" || kind === "unranked" ? { kind } : null;
}

function swallow(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}
