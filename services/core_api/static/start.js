// Redoc with everything off that would call home or lead elsewhere.
import { init } from "./redoc-3.0.1.js";

const place = document.getElementById("redoc");
init(
  place.dataset.spec,
  {
    disableTelemetry: true,
    sanitize: true,
    hideSchemaTitles: true,
    jsonSamplesExpandLevel: 3,
    sortRequiredPropsFirst: false,
  },
  place,
);
