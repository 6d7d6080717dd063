import { messageOf } from "./api/error";

export interface Toast {
  id: number;
  tone: "plain" | "good" | "bad";
  text: string;
  action?: { label: string; run: () => void } | undefined;
}

let shown = $state.raw<Toast[]>([]);
let lastId = 0;

export const toasts = {
  get shown() {
    return shown;
  },
  /** Shows a message; bad ones stay until dismissed, others for six seconds, or twelve to decide on an action. */
  show(text: string, options: Partial<Pick<Toast, "tone" | "action">> = {}): number {
    const toast: Toast = { id: ++lastId, tone: "plain", text, ...options };
    shown = [...shown.filter((other) => other.text !== text), toast].slice(-4);
    if (toast.tone !== "bad") setTimeout(() => toasts.dismiss(toast.id), toast.action ? 12_000 : 6_000);
    return toast.id;
  },
  failed(thrown: unknown) {
    return toasts.show(messageOf(thrown), { tone: "bad" });
  },
  dismiss(id: number) {
    shown = shown.filter((toast) => toast.id !== id);
  },
};
