// The entry of the star chart: styles, theme, then the app.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "../../../web-kit/tokens.css";
import "./star-chart.css";
import { App } from "./app";
import { applyStoredTheme } from "./theme";

applyStoredTheme();
const root = document.getElementById("app");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
