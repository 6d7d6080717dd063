import { t } from "$lib/catalogue.svelte";
import { router } from "$lib/router/router.svelte";

/** Asks once before unsaved entries are left behind, in the site and when the tab is closed. */
export function guardUnsaved(unsaved: () => boolean): void {
  $effect(() => {
    const closing = (event: BeforeUnloadEvent) => {
      if (unsaved()) event.preventDefault();
    };
    addEventListener("beforeunload", closing);
    const stop = router.guard(() => !unsaved() || confirm(t("admin.unsaved.leave")));
    return () => {
      removeEventListener("beforeunload", closing);
      stop();
    };
  });
}
