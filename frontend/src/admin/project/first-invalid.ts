import { tick } from "svelte";

/** After a refusal: brings the first field at fault into sight and focus, once its errors are shown. */
export async function focusFirstInvalid(form: HTMLFormElement | undefined): Promise<void> {
  await tick();
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
}
