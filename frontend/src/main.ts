import { mount } from "svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import App from "./App.svelte";
import { focusOrigin } from "$lib/focus-origin";
import { router } from "$lib/router/router.svelte";

router.start();
focusOrigin.start();

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
mount(App, { target });
